"""The classes of inputs that the corpus has, and who says how each is to be judged.

One row a class: what is in it, and the section of RFC 9110 to 9112 or 3986 or the advisory that decides. The
corpus names these rows, and docs/http.md shows them.
"""

from typing import NamedTuple


class Row(NamedTuple):
    title: str
    source: str


ROWS: dict[str, Row] = {
    "S1": Row(
        "Content-Length and Transfer-Encoding in one head",
        "RFC 9112, 6.1 and 11.2; CVE-2019-16786, CVE-2024-1135",
    ),
    "S2": Row(
        "Transfer-Encoding that is not exactly `chunked`",
        "RFC 9112, 6.1; CVE-2019-16789, CVE-2019-18277, CVE-2024-6827",
    ),
    "S3": Row("codings stacked with chunked", "RFC 9112, 6.1; CVE-2022-32213 to 32215"),
    "S4": Row("Transfer-Encoding in HTTP/1.0", "RFC 9112, 6.1"),
    "S5": Row(
        "Content-Length that is not one plain number",
        "RFC 9112, 6.3; RFC 9110, 8.6; CVE-2022-24761, CVE-2023-40225",
    ),
    "S6": Row("a body where none is expected", "RFC 9110, 9.3.1"),
    "S7": Row("Expect", "RFC 9110, 10.1.1"),
    "S8": Row("CR or LF standing alone", "RFC 9112, 2.2; CVE-2019-16785, CVE-2023-30589, CVE-2025-22871"),
    "S9": Row("folded lines, space before a name or a colon", "RFC 9112, 5.1 and 5.2; CVE-2021-22959"),
    "S10": Row("chunk extensions out of the grammar", "RFC 9112, 7.1.1; CVE-2025-55315, CVE-2024-52304"),
    "S11": Row("chunk lines out of proportion to their data", "CVE-2024-22019, CVE-2023-39326"),
    "S12": Row("chunk data not followed by CRLF", "RFC 9112, 7.1; CVE-2025-43859"),
    "S13": Row("chunk sizes that are no number, or no size", "RFC 9112, 7.1"),
    "S14": Row("trailers", "RFC 9110, 6.5; RFC 9112, 7.1.2; CVE-2025-53643, CVE-2025-58068"),
    "S15": Row("bodies cut short", "RFC 9112, 6.3 and 8"),
    "S16": Row("CONNECT, Upgrade, and the preface of HTTP/2", "RFC 9110, 7.8 and 9.3.6; RFC 9112, 3.2.3"),
    "S17": Row("what stands behind a bad request, or behind `close`", "RFC 9112, 9.6; CVE-2024-49768"),
    "S21": Row("other versions and other protocols", "RFC 9112, 2.3; RFC 9110, 15.6.6"),
    "H1": Row("names that become another one's variable", "PEP 3333; CVE-2015-0219"),
    "H2": Row("Connection naming fields that are not its own", "RFC 9110, 7.6.1; CVE-2022-31813"),
    "H4": Row("Proxy", "CVE-2016-5385"),
    "H5": Row("orders to a server to send a file", "CVE-2025-61780"),
    "H7": Row("Host missing, doubled, or no host", "RFC 9112, 3.2; RFC 3986, 3.2.2; CVE-2012-4520"),
    "H8": Row("targets in absolute form", "RFC 9112, 3.2.2; RFC 9110, 4.2.4"),
    "H9": Row("field names and values out of the grammar", "RFC 9110, 5.1 and 5.5; CVE-2023-25725"),
    "H14": Row("control characters meant for a terminal", "CVE-2009-4487"),
    "P1": Row("dot segments, plain and encoded", "RFC 3986, 6.2.2.3; CVE-2021-41773"),
    "P3": Row("paths that two readers read differently", "RFC 3986, 2.2 and 6.2.2"),
    "P5": Row("encoded control characters", "RFC 3986, 7.3; CVE-2013-4547"),
    "D4": Row("heads without end", "RFC 6585, 5; RFC 9112, 3"),
    "D5": Row("empty lines without end", "RFC 9112, 2.2"),
    "2-method": Row("methods", "RFC 9110, 9.1"),
    "2-target": Row("targets out of the grammar", "RFC 9112, 3.2; RFC 3986, 3.3"),
    "2-value": Row("field values beyond ASCII", "RFC 9110, 5.5"),
    "2-whitespace": Row("whitespace in and before the request line", "RFC 9112, 2.2 and 3"),
    "-": Row("ordinary requests", "RFC 9112"),
}
