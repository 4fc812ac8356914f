"""What containers of a site need to know: its names, its pools, what is copied into the image and where.

Derived from the site's file. Knows neither Docker's nor Kubernetes' formats, but for the text of the image.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .refusal import Refusal
from .site import Site

# One user in every container of a site: the halves believe each other by it.
UID = 10001
PORT = 8080
# Where the folder of the file is copied to, and where the halves meet.
FOLDER = "/srv/site"
_REQUIREMENTS = ("requirements.txt", "pyproject.toml")


class Plan(NamedTuple):
    """For one site. `file` is seen from the folder that is copied; times in seconds."""

    name: str
    file: str
    pools: tuple[str, ...]
    run_dir: str
    stop_timeout: float
    requirements: str | None

    @property
    def proxy(self) -> list[str]:
        """The command; whatever the file listens on, a container is reached on one port."""
        return ["trivet", "proxy", "--listen", str(PORT)]

    def backend(self, pool: str) -> list[str]:
        return ["trivet", "backend", "--pool", pool]

    @property
    def environment(self) -> dict[str, str]:
        return {"TRIVET_FILE": f"{FOLDER}/{self.file}", "RUNTIME_DIRECTORY": self.run_dir}

    def probe(self, question: str, half: str) -> list[str]:
        return ["trivet", "status", "--probe", question, "--for", half]


def plan(site: Site) -> Plan:
    """Raises Refusal where containers would not work as the file is."""
    settings = site.settings
    if settings.file is None:
        raise Refusal("containers need a file; write one with: trivet init")
    for pool in settings.pools.values():
        if not pool.directory.is_relative_to(settings.base):
            raise Refusal(
                f"{pool.where}: the directory of pool {pool.name} lies outside of {settings.base}, which is "
                "what is copied into the image"
            )
    found = [name for name in _REQUIREMENTS if (settings.base / name).is_file()]
    return Plan(
        name=re.sub(r"[^a-z0-9-]+", "-", settings.name.lower()).strip("-")[:40] or "site",
        file=os.path.relpath(settings.file.absolute(), settings.base),
        pools=tuple(settings.pools),
        run_dir=os.fspath(settings.run_dir or Path("/run/trivet/site")),
        stop_timeout=settings.stop_timeout,
        requirements=found[0] if found else None,
    )


def dockerfile(plan: Plan) -> str:
    """One image for both halves: the proxy serves files of the site, too."""
    install = {
        "requirements.txt": "COPY requirements.txt ./\nRUN pip install trivet -r requirements.txt",
        "pyproject.toml": "COPY . ./\nRUN pip install trivet .",
        None: "# What the application imports stands here too: a requirements.txt was not found.\n"
        "RUN pip install trivet",
    }[plan.requirements]
    return f"""\
# docker build -t {plan.name} .
FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim AS build
RUN python3 -m venv /opt/trivet
ENV PATH=/opt/trivet/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
{install}

FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim
RUN groupadd --gid {UID} trivet \\
 && useradd --uid {UID} --gid {UID} --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin trivet
COPY --from=build /opt/trivet /opt/trivet
COPY . {FOLDER}
ENV PATH=/opt/trivet/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER {UID}:{UID}
WORKDIR {FOLDER}
EXPOSE {PORT}
CMD ["trivet", "proxy", "--listen", "{PORT}"]
"""


def as_yaml(*documents: dict[str, Any]) -> str:
    """As people write it: in order, lists of words on one line, no anchors."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=110, default_flow_style=False)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
