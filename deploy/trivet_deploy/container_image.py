"""The text of a Dockerfile and of its .dockerignore: an image for the proxy, one for the pools.

Owns what goes into which. What differs from site to site comes from the plan.
"""

import json
import re
import shlex
import sys

from .container_plan import FOLDER, UID, Plan

# Exclusions that no project has a reason to take back; a .dockerignore of one's own should have them, too.
SECRETS = (".git", "**/.env", "**/.env.*", "**/*.pem", "**/*.key")
_MORE_SECRETS = ("**/*.p12", "**/*.pfx", "**/id_rsa*", "**/id_ecdsa*", "**/id_ed25519*", ".hg", ".svn")
_UNWANTED = (
    *("**/__pycache__", "**/*.py[co]", "**/.venv", "**/venv", "**/node_modules", "**/*.sqlite3*", "**/*.log"),
    *("Dockerfile", ".dockerignore", "docker-compose*.yml", "compose*.yaml"),
)
_WHEEL = """\
# Both images install Trivet from a wheel that lies beside this file. Once a release, out of its clone:
#   pip wheel --no-deps --wheel-dir . FOLDER_OF_THE_CLONE"""


def files(plan: Plan) -> dict[str, str]:
    """By name, relative to the folder of the site's file."""
    return {"Dockerfile": _dockerfile(plan), ".dockerignore": _dockerignore(plan)}


def _dockerfile(plan: Plan) -> str:
    base = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
    return f"""\
{_WHEEL}
# docker build --target proxy --tag {plan.name}-proxy .    --target backend --tag {plan.name}-backend

FROM {base} AS build
# A venv, so that what the site installs and what the system has never meet.
RUN python3 -m venv /opt/trivet
ENV PATH=/opt/trivet/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY trivet-*.whl ./
RUN pip install ./trivet-*.whl

FROM build AS build-site
{_requirements(plan)}

FROM {base} AS base
{_users(plan)}
# Volumes that are empty take over owner and mode of what lies beneath.
RUN install -d -o {UID} -g {UID} -m 0700 {" ".join(_folders(plan))}
ENV PATH=/opt/trivet/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER {UID}:{UID}
WORKDIR {FOLDER}

# Trivet, the file, and the static files that it sends itself: nothing of the application.
FROM base AS proxy
COPY --from=build /opt/trivet /opt/trivet
{_copies(plan)}
EXPOSE {" ".join(str(port.number) for port in plan.ports.published)}
CMD {json.dumps(plan.proxy)}

FROM base AS backend
COPY --from=build-site /opt/trivet /opt/trivet
COPY --chown={UID}:{UID} . {FOLDER}
CMD ["trivet", "backend"]
"""


def _requirements(plan: Plan) -> str:
    match plan.requirements:
        case "requirements.txt":
            return "COPY requirements.txt ./\nRUN pip install -r requirements.txt"
        case "pyproject.toml":
            return "COPY . ./\nRUN pip install ."
    return "# What the application imports is installed here: a requirements.txt was not found."


def _users(plan: Plan) -> str:
    lines = [
        f"RUN groupadd --gid {UID} trivet",
        f"useradd --uid {UID} --gid {UID} --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "
        "trivet",
    ]
    # `user:` of a pool must be somebody; nobody becomes another user in a container that is not root's.
    lines += [f"(id {user} || useradd --system {user})" for user in plan.users if not user.isdecimal()]
    return " \\\n && ".join(lines)


def _folders(plan: Plan) -> list[str]:
    """Those of volumes. /tmp and /var/tmp are in every image, and everybody's."""
    paths = [plan.volume, plan.spool, *([plan.state] if plan.state else [])]
    return [shlex.quote(path) for path in dict.fromkeys(paths) if path not in ("/tmp", "/var/tmp")]


def _copies(plan: Plan) -> str:
    """A folder's content goes where its name says; JSON, for names with spaces."""
    lines = [
        f"COPY --chown={UID}:{UID} {json.dumps([path, f'{FOLDER}/{path}'])}" for path in plan.proxy_copies
    ]
    return "\n".join(lines)


def _dockerignore(plan: Plan) -> str:
    named = [re.sub(r"([\\*?\[])", r"\\\1", path) for path in plan.ignored]
    lines = [
        "# In no image: history, secrets, this machine's own. A line with ! in front takes one back.",
        *(*SECRETS, *_MORE_SECRETS, *_UNWANTED),
    ]
    if named:
        lines += ["# Named by the site's file, and mounted instead or not needed.", *named]
    return "\n".join(lines) + "\n"
