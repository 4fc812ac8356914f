"""The byte classes of HTTP/1.1 and URIs as compiled patterns, and the methods that are served.

Knows grammar only: what a match means is judged in the rooms that use it. Quantifiers are possessive where
bytes could otherwise be tried twice, so that no input costs more than one pass.
"""

import re

# RFC 9110, 9.1 and RFC 5789; WebDAV and its kin (RFC 4918, 3253, 5323, 3744, 5842, 4791); LINK and UNLINK of
# RFC 2068.
METHODS = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH "
    b"PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK "
    b"REPORT MKACTIVITY CHECKOUT MERGE SEARCH ACL BIND REBIND UNBIND MKCALENDAR LINK UNLINK".split()
)
# CONNECT would make us an open relay; TRACE shows a script the cookies it may not read.
REFUSED_METHODS = frozenset({b"CONNECT", b"TRACE"})
ALLOWED_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

_TCHAR = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
is_token = re.compile(rb"[" + _TCHAR + rb"]++").fullmatch

# One name, one variable in environ: anything but letters, digits and dashes becomes "_" there, so that
# X_Forwarded_For would speak as X-Forwarded-For (CVE-2015-0219). Lower case: names are lowered before.
is_plain_name = re.compile(rb"[a-z0-9][a-z0-9\-]*+").fullmatch

# RFC 9110, 5.5: HTAB, SP, VCHAR, obs-text. Deleting all of them from a value leaves what is wrong with it.
FIELD_VALUE_BYTES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])

# The first place where CR and LF do not stand together; a CR at the very end is not judged yet.
find_bare_line_end = re.compile(rb"\r[^\n]|(?<!\r)\n").search
# The end of the first line, however it ends.
find_line_end = re.compile(rb"\n|\r[^\n]").search

# RFC 3986, 3.3 and 3.4, plus [ and ], which every browser sends as they are ("?tag[]=a").
_PCHAR = rb"A-Za-z0-9\-._~!$&'()*+,;=:@\[\]"

# The common case of a request line in one pass: origin form, no escape in the path, no empty segment, none
# that begins with a dot. What it does not match is not refused but looked at closely.
match_common_request_line = re.compile(
    rb"([A-Z]++) (((?:/(?![/.])[" + _PCHAR + rb"]*+)++)(?:\?([" + _PCHAR + rb"%/?]*+))?) HTTP/1\.([01])\r\n"
).match
match_request_line = re.compile(rb"([^ \r\n]++) ([^ \r\n]++) ([^ \r\n]++)\r\n").fullmatch
match_simple_request = re.compile(rb"[A-Z]++ [\x21-\x7e]++ ?\r\n").fullmatch
is_http_version = re.compile(rb"HTTP/[0-9]++(?:\.[0-9]++)?+").fullmatch

# What browsers send raw although RFC 3986 has no place for it (WHATWG URL, query and path percent-encode
# sets). We take these and encode them, so that everybody behind us reads a target of RFC 3986.
is_path = re.compile(rb"/[" + _PCHAR + rb"/%|]*+").fullmatch
is_query = re.compile(rb"[" + _PCHAR + rb"/?%\\^`{|}]*+").fullmatch
sub_unwise = re.compile(rb"[\\^`{|}]").sub
find_bad_escape = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
find_control = re.compile(rb"[\x00-\x1f\x7f]").search
sub_slashes = re.compile(rb"//++").sub
# A backslash separates for Windows upstreams, ";" begins a parameter for Java's: "..\" and "..;" climb there.
find_dot_segment = re.compile(rb"[/\\]\.{1,2}(?:[/\\;]|\Z)").search

# RFC 3986, 3.2.2, narrowed to what DNS and Compose files use (an underscore makes it a service, no host).
match_authority = re.compile(
    rb"([a-z0-9_\-]{1,63}(?:\.[a-z0-9_\-]{1,63})*+\.?|\[[0-9a-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?"
).fullmatch
match_absolute_form = re.compile(rb"(https?)://([^/?#]*+)([^#]*+)", re.IGNORECASE).fullmatch

match_status_line = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n").match

# RFC 9112, 7.1. No whitespace around ";" and "=": "bad whitespace" there, a tool for smuggling elsewhere.
_TOKEN = rb"[" + _TCHAR + rb"]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
match_chunk_head = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n").match
find_cr_or_lf = re.compile(rb"[\r\n]").search
is_chunk_extension = re.compile(
    rb"(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)++"
).fullmatch

_match_hex = re.compile(rb"[0-9A-Fa-f]++").match


def skip_hex(data: bytes, position: int) -> int:
    """The index of the first byte from `position` on that is no hexadecimal digit."""
    found = _match_hex(data, position)
    return found.end() if found else position
