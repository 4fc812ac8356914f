"""Two images from one Dockerfile, and what must be in neither."""

import re
import sys

import pytest

from tests.deploy.test_compose_file import PLAN
from trivet_deploy.container_image import SECRETS, files


def stages(text: str) -> dict[str, str]:
    parts = re.split(r"^FROM \S+ AS (\S+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("requirements.txt", "RUN pip install -r requirements.txt"),
        ("pyproject.toml", "RUN pip install ."),
        (None, "# What the application imports is installed here: a requirements.txt was not found."),
    ],
)
def test_trivet_comes_from_a_wheel_that_is_there_and_the_rest_from_the_site(
    name: str | None, line: str
) -> None:
    text = files(PLAN._replace(requirements=name))["Dockerfile"]
    found = stages(text)
    assert "COPY trivet-*.whl ./\nRUN pip install ./trivet-*.whl\n" in found["build"]
    assert line in found["build-site"].splitlines()
    assert "pip install trivet" not in text
    assert text.count(f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim") == 2
    assert "USER 10001:10001" in found["base"]
    assert "syntax=" not in text


def test_the_proxys_image_has_no_application() -> None:
    found = stages(files(PLAN._replace(proxy_copies=("trivet.yaml", "my static")))["Dockerfile"])
    assert re.findall(r"^COPY .*", found["proxy"], re.MULTILINE) == [
        "COPY --from=build /opt/trivet /opt/trivet",
        'COPY --chown=10001:10001 ["trivet.yaml", "/srv/site/trivet.yaml"]',
        'COPY --chown=10001:10001 ["my static", "/srv/site/my static"]',
    ]
    assert "COPY --chown=10001:10001 . /srv/site" in found["backend"].splitlines()


def test_folders_of_volumes_are_there_and_owned() -> None:
    found = stages(files(PLAN._replace(spool="/var/tmp/a b", state="/var/lib/x"))["Dockerfile"])
    assert "-m 0700 /run/trivet '/var/tmp/a b' /var/lib/x\n" in found["base"]


def test_users_of_pools_are_somebody() -> None:
    found = stages(files(PLAN._replace(users=("1000", "shop")))["Dockerfile"])
    assert "(id shop || useradd --system shop)" in found["base"]
    assert "1000 ||" not in found["base"]


def test_secrets_and_history_are_copied_into_no_image() -> None:
    lines = files(PLAN._replace(ignored=("certs", "what*?.pem")))[".dockerignore"].splitlines()
    assert {*SECRETS, ".git", "**/.env", "**/*.key", "certs", r"what\*\?.pem"} <= set(lines)
