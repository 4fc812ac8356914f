"""The command's options laid over what a file says, in the file's own shape.

Mappings are merged, everything else replaced; routes are put in front. Pool "*" stands for the only pool.
"""

from .nodes import Node, Text
from .problems import Findings


def merge(tree: Node, options: Node, findings: Findings) -> None:
    """Changes `tree`; both are mappings."""
    if not isinstance(tree.value, dict) or not isinstance(options.value, dict):
        return
    routes = options.value.pop("routes", None)
    _name_pools(tree, options, findings)
    _merge_mappings(tree.value, options.value)
    if routes is not None and isinstance(routes.value, list):
        _put_in_front(tree.value, routes)


def _name_pools(tree: Node, options: Node, findings: Findings) -> None:
    """Gives the options for pool "*" to the file's only pool."""
    pools = options.child("pools")
    if pools is None or not isinstance(pools.value, dict) or "*" not in pools.value:
        return
    node = pools.value.pop("*")
    written = tree.child("pools")
    names = list(written.value) if written is not None and isinstance(written.value, dict) else []
    if len(names) == 1:
        pools.value[names[0]] = node
        return
    for place in {child.place for _loc, child in node.walk() if not isinstance(child.value, (dict, list))}:
        which = f"there are {len(names)} pools" if names else "there is no pool"
        findings.mistake(
            place, f"{which}, so it is not clear what is meant", "write it below the pool in the file"
        )


def _merge_mappings(below: dict[str, Node], above: dict[str, Node]) -> None:
    for key, node in above.items():
        under = below.get(key)
        if under is not None and isinstance(under.value, dict) and isinstance(node.value, dict):
            _merge_mappings(under.value, node.value)
        else:
            below[key] = node


def _put_in_front(tree: dict[str, Node], routes: Node) -> None:
    assert isinstance(routes.value, list)
    written = tree.get("routes")
    if written is None:
        # Without a word about routes the only pool takes all the rest.
        tree["routes"] = Node(routes.value + _rest(tree, routes), routes.place, routes.folder)
    elif isinstance(written.value, list):
        written.value[:0] = routes.value


def _rest(tree: dict[str, Node], routes: Node) -> list[Node]:
    pools = tree.get("pools")
    if pools is None or not isinstance(pools.value, dict) or len(pools.value) != 1:
        return []
    name, pool = next(iter(pools.value.items()))
    keys = {key: Node(Text(text), pool.place, routes.folder) for key, text in (("path", "/"), ("pool", name))}
    return [Node({**keys}, pool.place, routes.folder)]
