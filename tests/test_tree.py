"""The tree of docs/architecture.md as tables: who may import whom, how large a room is, what has a test.

A new room is written into FLOORS: on the lowest floor above everything it imports.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "common": ROOT / "common/trivet_common",
    "proxy": ROOT / "proxy/trivet_proxy",
    "backend": ROOT / "backend/trivet_backend",
    "deploy": ROOT / "deploy/trivet_deploy",
}

# Which packages of ours each may import besides itself.
MAY_IMPORT = {
    "common": set(),
    "proxy": {"common"},
    "backend": {"common"},
    "deploy": {"common", "proxy", "backend"},
}
# Libraries a package must do without: blocking workers need no loop, and what both share knows no I/O of one.
WITHOUT = {"common": {"trio"}, "backend": {"trio"}}

# A room imports only from floors below its own, within its package. A folder is one room here.
FLOORS = {
    "common": """
        certificates foreign http1 inflow
        channel config forking inherited log_target loop notify peers pool pulse
        access_log asking binding control logs
        children listeners reloads
        prefork
    """,
    "common/pool": """
        board handover idle queue_board
        claims places
        figures
    """,
    "proxy": """
        access_logs beneath buckets codings complaints content_types crumbs custody deadlines file_systems file_tree front_board garbage hashed_names hearsay introduction locations networks openssl origin page passwords ranges regexes rollover route shape spool standings ticket_keys tls_groups validators vigil wire
        candidates conditions disk encoders error_pages presentation shown tls_profile unraisable
        backlog body clients error_choice introduction_wait listing manifests matching omissions open_files orders preconditions router showcase stall templates tls_wire
        admission delivery door folder internal_routes request writer
        doors forwarded note resources shelf writer_stage
        catalogue compression gates interception kept_assets
        altering answering gating keeper lookout
        dispatch
        upstreams
        handlers
        connection
        site tls_connection
        reception succession
        front
        master
    """,  # noqa: E501
    "proxy/dispatch": """
        link slot_wire standstill tally terms trailers
        answer slots upload waiting
        queue
        pool
        handover
        exchange
        timing
    """,
    "proxy/upstreams": """
        ejection hops interim names tls_client
        balance server
        line
        servers
        roster visit
    """,
    "proxy/gates": """
        basic_auth doorkeeping headers maintenance rate_limit rewrite subrequest vouching
        forward_auth
    """,
    "proxy/handlers": "files health pool redirect respond tunnel upstream",  # none knows another
    "backend": """
        app_name callables ending file_wrapper hooks inheritance input knock limits offspring prctl privileges procfs regulars release retirement said sizing sockets stacks
        application interrupt memory place prepare proxys_head roster
        boards broken_page dumps environ renewal response streams takeover templates watchdog wear
        answer crew link overdue standstill
        body changeover links readiness report tick
        slot
        worker
        template
        births
        master
    """,  # noqa: E501
    "deploy": """
        application_check changes refusal roll_call rollout succession watcher words
        effective_access effective_errors effective_match
        effective
        apart certificates discovery question running
        explained page whereabouts
        applies dump reload site status upgrade
        container_ports live premises probe systemd_plan
        container_plan screen systemd_units
        container_image
        compose_file kubernetes_files
        check compress development explain halves init manifests tls_dev versions
        serve
        commands
        cli
    """,
}

# Rooms without a test file of their own, and the one that tests them.
TESTED_BY = {
    # What is written and what comes of it is tested as a user sees it: a file in, settings or mistakes out.
    **dict.fromkeys(
        [
            "draft",
            "hints",
            "matching",
            "nodes",
            "outline",
            "problems",
            "section",
            "validate",
            "yaml_mistakes",
        ],
        "common/test_mistakes.py",
    ),
    **dict.fromkeys(
        [
            "loading",
            "overrides",
            "resolve_listen",
            "resolve_options",
            "resolve_pools",
            "resolve_routes",
            "resolve_files",
        ],
        "common/test_load.py",
    ),
    **dict.fromkeys(["resolve_site", "settings"], "common/test_load.py"),
    **dict.fromkeys(["model_files", "model_listen", "model_pools", "model_routes"], "common/test_model.py"),
    **dict.fromkeys(["model_upstreams", "resolve_upstreams"], "common/test_upstream_settings.py"),
    **dict.fromkeys(["model_match", "resolve_match", "settings_match"], "common/test_match_settings.py"),
    **dict.fromkeys(["proxy/candidates", "proxy/matching", "proxy/route"], "proxy/test_router.py"),
    "effective_match": "deploy/test_effective.py",
    "effective_access": "deploy/test_effective.py",
    "effective_errors": "deploy/test_applies.py",
    **dict.fromkeys(["model_access", "resolve_access", "settings_access"], "common/test_access_settings.py"),
    **dict.fromkeys(["model_errors", "resolve_errors", "settings_errors"], "common/test_errors_settings.py"),
    "writer_stage": "proxy/test_compression.py",
    "answering": "whole/test_route_errors.py",
    **dict.fromkeys(
        [
            "model_headers",
            "model_log",
            "model_rewrite",
            "placeholders",
            "resolve_headers",
            "resolve_log",
            "resolve_rewrite",
            "resolve_templates",
            "settings_log",
            "settings_rewrite",
        ],
        "common/test_route_settings.py",
    ),
    "proxy/altering": "proxy/test_site.py",
    "deploy/changes": "deploy/test_applies.py",
    "proxy/origin": "proxy/test_gate_rate_limit.py",
    "gates/subrequest": "proxy/test_gate_forward_auth.py",
    **dict.fromkeys(["tls", "model_tls", "resolve_tls"], "common/test_tls_settings.py"),
    "proxy/reception": "proxy/test_front.py",
    "reference": "common/test_schema.py",  # both are generated from the model
    # Types without behaviour of their own.
    "errors": "common/test_reasons.py",
    "request_head": "common/test_request.py",
    "refusal": "deploy/test_commands.py",
    "backend/limits": "backend/test_slot.py",
    "backend/release": "backend/test_takeover.py",
    "backend/roster": "backend/test_crew.py",
    "backend/retirement": "backend/test_slot.py",
    "backend/answer": "backend/test_response.py",
    "backend/said": "backend/test_slot.py",
    "proxy/request": "proxy/test_connection.py",
    "proxy/resources": "proxy/test_connection.py",
    # Halves of a conversation that only mean something together.
    "http1/body": "common/test_framing.py",
    "backend/body": "backend/test_slot.py",
    "backend/link": "backend/test_slot.py",
    "backend/links": "backend/test_slot.py",
    "proxy/admission": "proxy/test_connection.py",
    "dispatch/link": "proxy/test_exchange.py",
    "dispatch/slot_wire": "proxy/test_handover.py",
    **dict.fromkeys(["upstreams/server", "upstreams/visit"], "proxy/test_handler_upstream.py"),
    # Processes: they are run, not called.
    "backend/tick": "backend/test_master_rooms.py",
    "backend/worker": "backend/test_master.py",
    "halves": "deploy/test_serve.py",
    **dict.fromkeys(["succession", "upgrade", "versions"], "whole/test_upgrade.py"),
    "cli": "deploy/test_commands.py",
    "app_name": "backend/test_application.py",
    "application_check": "deploy/test_check.py",
}

LONGEST = 350
NO_NOUNS = {"utils", "util", "helpers", "helper", "manager", "base", "misc", "core", "lib"}
# A machine's own paths and the hosts of registries have no place in what others read and run.
_MACHINE = re.compile(
    r"(?<![.\w])/(?:work|home|root|Users)/[a-z.]+[/\w]*|https?://[\w.-]*(?:pypi|artifactory|nexus)[\w.-]*"
)


def rooms(package: str) -> Iterator[tuple[str, Path]]:
    """Each module's name within its package, as a path, and its file."""
    base = PACKAGES[package]
    for path in sorted(base.rglob("*.py")):
        name = path.relative_to(base).with_suffix("").as_posix().removesuffix("__init__").rstrip("/")
        yield name, path


# A test a package, not one a room: a thousand tests would be collected for it in each process.
each_package = pytest.mark.parametrize("package", PACKAGES)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(package: str, path: Path, nodes: Iterator[ast.AST]) -> Iterator[str]:
    """What is imported, in full: trivet_common.pool.board."""
    here = path.relative_to(PACKAGES[package].parent).parent.parts
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def every_node(path: Path) -> Iterator[ast.AST]:
    return ast.walk(tree_of(path))


def at_import(path: Path) -> Iterator[ast.AST]:
    """What runs when the module is imported: not what a type checker or a function imports."""
    return iter(tree_of(path).body)


@each_package
def test_packages_import_one_way(package: str) -> None:
    for name, path in rooms(package):
        found = {module.split(".")[0] for module in imports(package, path, every_node(path))}
        ours = {module.removeprefix("trivet_") for module in found if module.startswith("trivet_")}
        assert ours <= MAY_IMPORT[package] | {package}, name
        assert not found & WITHOUT.get(package, set()), name


@pytest.mark.parametrize("where", FLOORS)
def test_rooms_import_from_floors_below(where: str) -> None:
    package, *folder = where.split("/")
    prefix = ".".join([f"trivet_{package}", *folder]) + "."
    floors = {
        room: level for level, row in enumerate(FLOORS[where].strip().split("\n")) for room in row.split()
    }
    found: set[str] = set()
    wrong = []
    for name, path in rooms(package):
        inside = name.split("/")
        if inside[: len(folder)] != folder or len(inside) == len(folder) or not name:
            continue
        room = inside[len(folder)]
        found.add(room)
        for module in imports(package, path, at_import(path)):
            other = module.removeprefix(prefix).split(".")[0] if module.startswith(prefix) else room
            if other != room and other in floors and floors[other] >= floors.get(room, 99):
                wrong.append(f"{room} imports {other}")
    assert found == set(floors), "FLOORS has one room too many or too few"
    assert wrong == []


def test_what_both_share_starts_without_a_loop() -> None:
    """Not only by name: nothing that is imported brings trio along."""
    code = "import sys, trivet_common.prefork, trivet_common.config; sys.exit('trio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@each_package
def test_a_room_is_small_and_says_what_it_is(package: str) -> None:
    for name, path in rooms(package):
        text = path.read_text()
        docstring = ast.get_docstring(tree_of(path))
        assert docstring, f"{name}: a room says what it owns and what it does not know"
        assert len(docstring.splitlines()) <= 5, name
        assert text.count("\n") <= LONGEST, name
        assert path.stem not in NO_NOUNS, name


@each_package
def test_a_room_has_a_test(package: str) -> None:
    assert [name for name, path in rooms(package) if not _has_test(package, name, path)] == []


def _has_test(package: str, name: str, path: Path) -> bool:
    if not name or path.name == "__init__.py":
        return True
    room, folder = path.stem, path.parent.name
    named = {f"test_{room}.py", f"test_{folder}_{room}.py", f"test_{folder.removesuffix('s')}_{room}.py"}
    for key in (f"{folder}/{room}", f"{package}/{room}", room):
        if key in TESTED_BY:
            return (ROOT / "tests" / TESTED_BY[key]).exists()
    return not named.isdisjoint(test.name for test in (ROOT / "tests" / package).glob("test_*.py"))


def test_no_machines_paths_and_no_registries_hosts() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    wrong = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if _MACHINE.search(line):
                wrong.append(f"{name}:{number}: {line.strip()[:100]}")
    assert wrong == []
