"""docs/from-nginx.md as a test reads it: its idioms, and how a snippet becomes a whole site.

- /srv, /etc, /var and /run stand below a folder of the test's; ports 8001 to 8003 and 8010 of 127.0.0.1 are
  servers of the test's that tell what they were told (8010 over TLS), 8009 is nobody's;
- the first listener is at a free port of 127.0.0.1, the second of 127.0.0.2, and so on;
- what it does not say is added: run_dir, log, one proxy process, the pools its routes name, and 127.0.0.0/8
  as trusted proxies, so that a test can be a client of any address and scheme.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PAGE = Path(__file__).parents[2] / "docs" / "from-nginx.md"
ADDED = """
run_dir: {folder}/run
proxy: {{processes: 1}}
log: {{access: {folder}/access.log}}
trusted_proxies: [{trusted}]
"""


class Idiom(NamedTuple):
    number: int
    title: str
    nginx: list[str]
    trivet: list[str]
    others: list[str]  # the names of the files that trivet[1:] stand in


def idioms() -> list[Idiom]:
    found = re.findall(r"^### (\d+)\. (.+?)\n(.*?)(?=^##)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [
        Idiom(
            int(number),
            title,
            _blocks("nginx", text),
            _blocks("yaml", text),
            re.findall(r"`(\S+\.yaml)`", text),
        )
        for number, title, text in found
    ]


def _blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def completed(text: str, folder: Path, trusted: str) -> str:
    """A whole configuration of a snippet whose paths and ports are in place."""
    site = yaml.compose(text)
    for number, address in enumerate(_addresses(site), 1):
        address.value, address.style, address.tag = f"127.0.0.{number}:0", '"', "tag:yaml.org,2002:str"
    _add(site, yaml.compose(ADDED.format(folder=folder, trusted=trusted)))
    used = [name for name in ("web", "blog") if re.search(rf"pool: {name}\b", text)]
    if used:
        lines = ", ".join(f"{name}: {pool_of(name, folder)}" for name in used)
        missing = yaml.compose(f"pools: {{{lines}}}")
        _add(site, missing)
        _add(_value(site, "pools"), _value(missing, "pools"))
    written: str = yaml.serialize(site)
    return written


def nginx_conf(text: str, folder: Path) -> str:
    """A snippet of nginx's as a whole file: what is no `server` stands in one, and no port needs root."""
    text = text.replace("include uwsgi_params;", "")  # stands beside Debian's own configuration
    if not re.search(r"^(server|upstream|map|limit_\w+_zone|log_format|include)\b", text, re.MULTILINE):
        text = f"server {{\nlisten 80;\n{text}}}\n"
    text = re.sub(r"\blisten (\d+)", lambda found: f"listen 127.0.0.1:{int(found[1]) + 4000}", text)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{text}}}\n"


def pool_of(name: str, folder: Path) -> str:
    env = f"{{WHO: {name}, REPORT: {folder}/srv/shop/private/report.pdf}}"
    return f"{{app: telling, directory: {folder}, workers: 1, env: {env}}}"


def _value(mapping: yaml.MappingNode, key: str) -> Any:
    return next((value for name, value in mapping.value if name.value == key), None)


def _add(to: yaml.MappingNode, more: yaml.MappingNode) -> None:
    to.value += [(key, value) for key, value in more.value if _value(to, key.value) is None]


def _addresses(site: yaml.MappingNode) -> list[yaml.ScalarNode]:
    listen = _value(site, "listen")
    if listen is None:
        listen = yaml.compose("80")
        site.value.insert(0, (yaml.compose("listen"), listen))
    every = listen.value if isinstance(listen, yaml.SequenceNode) else [listen]
    return [_value(one, "address") if isinstance(one, yaml.MappingNode) else one for one in every]
