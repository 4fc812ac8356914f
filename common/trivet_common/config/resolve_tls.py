"""TLS of a listener: from what is written to pairs of files that load, with all that is wrong with them."""

from pathlib import Path

from .draft import Draft
from .matching import resolve_hosts
from .model_tls import CertificateKeys, TlsKeys
from .nodes import Loc
from .problems import shown
from .tls import Pair, Tls

_EXAMPLE = "write tls: {certificate: cert.pem, key: key.pem}"


def resolve_tls(keys: TlsKeys, draft: Draft, loc: Loc, check: bool) -> Tls:
    """Mistakes are reported; what is returned then is not to be used."""
    written = _certificates(keys, draft, loc)
    pairs = tuple(_pair(each, draft, each_loc, check) for each, each_loc in written)
    if check and not draft.findings.mistake_count:
        _check_kinds(pairs, [(*each_loc, "certificate") for _, each_loc in written], draft)
    client_ca = _file(keys.client_ca, draft, (*loc, "client_ca"), check) if keys.client_ca else None
    _check_client(keys, draft, loc)
    if check and client_ca is not None and not draft.findings.mistake_count:
        _check_authorities(client_ca, draft, (*loc, "client_ca"))
    return Tls(pairs, keys.profile, keys.strict, keys.client, client_ca, keys.handshake_timeout)


def _certificates(keys: TlsKeys, draft: Draft, loc: Loc) -> list[tuple[CertificateKeys, Loc]]:
    several = [(each, (*loc, "certificates", index)) for index, each in enumerate(keys.certificates)]
    if keys.certificate is None:
        for key in ("key", "hosts"):
            if getattr(keys, key):
                draft.mistake((*loc, key), "it belongs to a certificate", "name the certificate beside it")
        if not several and not draft.tree.at(loc).is_cut:
            draft.mistake(loc, "there is no certificate", _EXAMPLE)
        return several
    if several:
        draft.mistake(
            (*loc, "certificate"), "there are certificates as well", "move it into that list, with its key"
        )
    own = CertificateKeys.model_construct(certificate=keys.certificate, key=keys.key, hosts=keys.hosts)
    return [(own, loc), *several]


def _pair(keys: CertificateKeys, draft: Draft, loc: Loc, check: bool) -> Pair:
    hosts: list[str] = []
    for index, host in enumerate(keys.hosts):
        hosts += resolve_hosts((host,), draft, (*loc, "hosts", index))
    mistakes = draft.findings.mistake_count
    certificate = _file(keys.certificate, draft, (*loc, "certificate"), check)
    key = _file(keys.key, draft, (*loc, "key"), check) if keys.key else certificate
    pair = Pair(certificate, key, tuple(hosts), str(draft.place(*loc, "certificate")))
    if check and draft.findings.mistake_count == mistakes:
        _check_pair(pair, draft, loc, has_key=keys.key is not None)
    return pair


def _file(text: str, draft: Draft, loc: Loc, check: bool) -> Path:
    """In a restart, what is wrong with it is found when it is loaded."""
    return draft.file(text, *loc, check=check and not draft.is_restart)


def _check_pair(pair: Pair, draft: Draft, loc: Loc, *, has_key: bool) -> None:
    from .pair import PairError, load_pair, worries  # here: a site without TLS need not load OpenSSL

    try:
        chain = load_pair(pair)
    except PairError as error:
        draft.trouble((*loc, "certificate"), str(error), _cure(pair, str(error)))
        return
    for key, text in worries(pair, chain):
        sentence, _, cure = text.rpartition("; ")
        draft.warning((*loc, key if has_key else "certificate"), sentence or cure, cure if sentence else "")
    if not pair.hosts and not chain[0].names:
        draft.mistake(
            (*loc, "certificate"), f"{shown(str(pair.certificate))} names no host", "write hosts: [...]"
        )


def _check_kinds(pairs: tuple[Pair, ...], locs: list[Loc], draft: Draft) -> None:
    """Of one kind of key a name has one certificate: OpenSSL would keep the last, and say nothing."""
    from .pair import PairError, read_pair

    shown_first: dict[tuple[str, str], tuple[frozenset[str], Pair]] = {}
    for pair, loc in zip(pairs, locs, strict=True):
        try:
            own = read_pair(pair).chain[0]
        except PairError:
            continue  # of a restart: it is shut
        names = frozenset(pair.hosts or own.names)
        found = [shown_first.setdefault((name, own.kind), (names, pair)) for name in sorted(names)]
        others = {other.where: (same, other) for same, other in found if other is not pair}
        for where, (same, other) in others.items():
            if same == names:
                draft.mistake(
                    loc,
                    f"{where} is {own.kind} and for the same names: only one of the two could be shown",
                    "take one out; only an RSA and an ECDSA certificate stand side by side",
                )
            else:
                name = next(name for name in sorted(names) if shown_first[name, own.kind][1] is other)
                draft.warning(
                    loc,
                    f"for {shown(name)} the {own.kind} certificate of {where} is shown, not this one",
                    "write hosts: with the names each is for",
                )


def _cure(pair: Pair, problem: str) -> str:
    if "holds no private key" in problem and pair.key == pair.certificate:
        return "write key: FILE beside it"
    return "name the two files that belong together" if "does not belong" in problem else ""


def _check_client(keys: TlsKeys, draft: Draft, loc: Loc) -> None:
    if keys.client != "off" and keys.client_ca is None:
        draft.mistake(
            (*loc, "client"), "nobody says who signs the clients' certificates", "write client_ca: FILE"
        )
    elif keys.client == "off" and keys.client_ca is not None:
        draft.mistake(
            (*loc, "client_ca"), "clients are not asked for a certificate", "write client: required"
        )


def _check_authorities(path: Path, draft: Draft, loc: Loc) -> None:
    from .pair import PairError, missing_root, read_authorities

    try:
        root = missing_root(read_authorities(path))
    except PairError as error:
        draft.trouble(loc, str(error))
    else:
        if root is not None:
            draft.warning(
                loc,
                f"no certificate in {shown(str(path))} is a root: no client with a certificate is let in",
                f"append the certificate of {root}",
            )
