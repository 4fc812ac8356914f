"""Wrong files, side by side with what is said about them: line, mistake, and what to write instead.

Each case is a file and the lines it must earn, `LINE: words … more words`, all of them and in this order.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trivet_common.config import ConfigError, Settings, from_mapping, from_overrides, load

CASES: list[tuple[str, str, list[str]]] = []


# Broken on purpose: a case is easier to read with its longest line whole.
# ruff: noqa: E501


def wrong(name: str, text: str, *expected: str) -> None:
    CASES.append((name, text.lstrip("\n"), list(expected)))


# YAML itself

wrong(
    "an IPv6 address without quotes",
    """
listen: [::]:8080
pools: {web: {app: shop}}
""",
    '1: an address that begins with [ must be quoted … write listen: "[::]:8080"',
)
wrong(
    "an IPv6 address without quotes in a list",
    """
listen:
  - 127.0.0.1:80
  - [::1]:8080
pools: {web: {app: shop}}
""",
    '3: an address that begins with [ must be quoted … write "[::1]:8080"',
)
wrong(
    "a wildcard host without quotes",
    """
pools: {web: {app: shop}}
routes:
  - host: *.example.com
    pool: web
""",
    '3: a value that begins with * must be quoted … write "*.example.com"',
)
wrong(
    "a wildcard host without quotes that YAML takes for an alias",
    """
pools: {web: {app: shop}}
routes:
  - {host: *example, pool: web}
""",
    '3: "*example" without quotes is a YAML alias … quote a value that begins with *: "*example"',
)
wrong(
    "a variable without quotes inside braces",
    """
routes:
  - {path: /, pool: ${POOL}}
pools: {web: {app: shop}}
""",
    '2: within { } and [ ], ${…} must be quoted … write pool: "${POOL}"',
)
wrong(
    "a placeholder without quotes inside braces",
    """
routes:
  - {path: /, redirect: {to: https://example.com{uri}}}
""",
    '2: within { } and [ ], a value with braces must be quoted … write to: "https://example.com{uri}"',
)
wrong(
    "a value that begins with a placeholder",
    """
routes:
  - path: /
    redirect: {scheme}://example.com{uri}
""",
    '3: a value that begins with { must be quoted … write "{scheme}://example.com{uri}"',
)
wrong(
    "a comma inside braces",
    """
routes:
  - {path: /static/, files: {root: static, cache: public, max-age=60}}
""",
    '2: "max-age=60" has no value: within { } a comma ends a value … quote it: cache: "public, max-age=60"',
)
wrong(
    "JSON to respond with",
    """
routes:
  - {path: /, respond: {"a":"b"}}
""",
    '2: unknown key a in respond … to answer with JSON write respond: {json: {"…": "…"}}',
)
wrong(
    "a tab in the indentation",
    """
pools:
  web:
\t\tapp: shop
""",
    "3: a tab stands in the indentation … indent with spaces",
)
wrong(
    "no space after the colon",
    """
pools:
  web:
    app:shop
    workers: 4
""",
    '3: a space is missing after the colon of "app:" … write app: shop',
)
wrong(
    "no space after the only colon",
    """
pools:
  web:
    app:shop
""",
    '2: pools.web: this must be a mapping (key: value), not "app:shop" … a space is missing after the colon: write app: shop',
)
wrong(
    "no space after the colon inside braces",
    """
pools: {web: {app: shop}}
routes:
  - {path:/api/, pool: web}
""",
    '3: a space is missing after the colon of "path:/api/" … write path: /api/',
)
wrong(
    "a quote that is not closed",
    """
pools:
  web:
    app: "shop
    workers: 4
""",
    "3: the quote that opens on this line is never closed",
)
wrong(
    "an apostrophe in single quotes",
    """
routes:
  - path: /
    respond: 'it's here'
""",
    "3: something follows the closing quote … \"'it's here'\"",
)
wrong(
    "a colon in a value",
    """
pools:
  web:
    app: shop
    prepare: echo a: b
""",
    '4: a value with ": " in it must be quoted … write prepare: "echo a: b"',
)
wrong(
    "two keys on one line",
    """
pools: web: {app: shop}
""",
    "1: two keys stand on one line, pools: and web: … put web: on the next line, indented",
)
wrong(
    "keys that are not indented enough",
    """
pools:
  web:
  app: shop
""",
    "2: pools.web has no value",
    '3: pools.app: this must be a mapping (key: value), not "shop" … indent app: deeper, to stand below the pool\'s name',
)
wrong(
    "several addresses on one line, and variables as text",
    """
listen: 0.0.0.0:8000, 0.0.0.0:8001
pools: {web: {app: shop, env: A=1}, two: {app: shop, env: {B=2}}}
routes: [{path: /a/, pool: web}, {path: /b/, pool: two}]
trusted_proxies: "*"
""",
    '1: listen: "0.0.0.0:8000, 0.0.0.0:8001" is more than one address … write a list: [0.0.0.0:8000, 0.0.0.0:8001]',
    "2: pools.two.env.B=2 has no value … write B: 2",
    '2: pools.web.env: this must be a mapping, not "A=1" … write env: {A: 1}',
    '4: trusted_proxies: "*" is not a network … write private',
)
wrong(
    "every trap at once",
    """
listen: [::]:8000
routes:
  - {host: *.example.com, pool: web}
  - {path: /x/, pool: ${POOL}}
pools: {web: {app: shop}}
""",
    '1: an address that begins with [ must be quoted … write listen: "[::]:8000"',
    '3: a value that begins with * must be quoted … write "*.example.com"',
    '4: within { } and [ ], ${…} must be quoted … write pool: "${POOL}"',
)
wrong(
    "a brace that is not closed",
    """
log: {access: stdout, level: info
pools: {web: {app: shop}}
""",
    "1: the { on this line is not closed, or a comma is missing … close it with }",
)
wrong(
    "indentation that does not fit",
    """
pools:
  web:
    app: shop
   workers: 4
""",
    "4: this line does not fit the lines above it … check its indentation (3 spaces)",
)
wrong(
    "indentation too deep",
    """
pools:
  web:
    app: shop
      workers: 4
""",
    "4: a key stands where none can … check its indentation (6 spaces)",
)
wrong(
    "a list on the line of its key",
    """
routes: - {path: /, respond: 204}
""",
    '1: a list ("- …") cannot begin on the line of its key … put it on the next line',
)
wrong(
    "a percent sign at the beginning",
    """
pools: {web: {app: shop, env_file: %h/env}}
""",
    "1: a value that begins with % must be quoted",
)
wrong(
    "a key twice",
    """
stop_timeout: 10s
pools: {web: {app: shop}}
stop_timeout: 20s
""",
    "3: stop_timeout was written before, on line 1 … keep one of the two",
)
wrong(
    "an anchor and a merge",
    """
pools:
  web: &web {app: shop}
  two:
    <<: *web
""",
    '2: "&web" without quotes is a YAML anchor',
    "4: merge keys (<<) are not used here … or use defaults:",
)
wrong(
    "a tag",
    """
pools: {web: {app: !!python/name:os.system x}}
""",
    '1: "tag:yaml.org,2002:python/name:os.system" without quotes is a YAML tag',
)
wrong(
    "an empty file",
    "# nothing yet\n",
    "1: the file is empty … the smallest file is: pools: {web: {app: shop.wsgi}}",
)
wrong("a file of one word", "hello\n", "1: the file must be a mapping")
wrong("two documents", "pools: {web: {app: shop}}\n---\npools: {}\n", "2: a second document begins here")
wrong(
    "keys without values",
    """
listen:
pools:
  web:
    app: shop
    timeout:
""",
    "1: listen has no value … write one, or take the line out",
    "5: pools.web.timeout has no value",
)

# Names that other servers use, and slips

wrong(
    "nginx's and gunicorn's names, all at once",
    """
bind: 0.0.0.0:8000
worker_processes: 4
client_max_body_size: 10m
graceful_timeout: 30s
keepalive_timeout: 65
worker_class: gevent
pools:
  web:
    app: shop
    max_requests_jitter: 100
    accesslog: "-"
routes:
  - location: /
    proxy_pass: http://127.0.0.1:9000
  - server_name: example.com
    root: /srv/www
  - {path: /x/, try_files: a, respond: 204}
  - {path: /y/, alias: /srv/y, proxy_read_timeout: 5s}
""",
    "1: unknown key bind … write listen: 127.0.0.1:8000",
    "2: unknown key worker_processes … write proxy: {processes: 2}",
    "3: unknown key client_max_body_size … write limits: {body: 64MiB}",
    "4: unknown key graceful_timeout … write stop_timeout: 25s",
    "5: unknown key keepalive_timeout … write limits: {idle_timeout: 75s}",
    "6: unknown key worker_class … write threads: 4",
    "10: unknown key max_requests_jitter in pools.web … leave it out: max_requests retires",
    "11: unknown key accesslog in pools.web … write log: {access: stdout}",
    "13: unknown key location in the route … write a route: {path: /prefix/",
    '14: unknown key proxy_pass in the route … write upstream: "http://host:port"',
    "15: unknown key server_name in the route … write host: NAME",
    "16: unknown key root in the route … write files: FOLDER",
    "17: unknown key try_files in the route … write files: {root: FOLDER, fallback: next}",
    "18: unknown key alias in the route … write files: FOLDER",
    "18: unknown key proxy_read_timeout in the route … write timeout: 60s",
)
wrong(
    "slips of spelling",
    """
lisen: 8000
pools:
  web:
    app: shop
    worker: 4
    env-file: .env
limits: {boddy: 1MiB}
""",
    "1: unknown key lisen … write listen",
    "5: unknown key worker in pools.web … write workers",
    "6: unknown key env-file in pools.web … write env_file",
    "7: unknown key boddy in limits … write body",
)
wrong(
    "keys in the wrong section",
    """
workers: 4
app: shop.wsgi
path: /
defaults: {path: /}
pools:
  web: {app: shop, access: stdout, stop_timeout: 5s}
""",
    "1: unknown key workers … stands below a pool",
    "2: unknown key app … stands below a pool",
    "3: unknown key path … stands in a route",
    "4: unknown key path in defaults … options only",
    "6: unknown key access in pools.web … write log: {access: …}",
    "6: unknown key stop_timeout in pools.web … stands at the top of the file",
)
wrong(
    "keys that are not yet built",
    """
listen: {address: "0.0.0.0:80", proxy_protocol: [10.0.0.1/8, balancer]}
routes:
  - {path: /private/, path_regex: x, files: .}
  - {path: /, limits: {body_rate: 1KiB/s}, pool: web}
pools: {web: {app: shop}}
""",
    '1: listen.proxy_protocol: "10.0.0.1/8" has bits set beyond its mask … write 10.0.0.0/8',
    '1: listen.proxy_protocol: "balancer" is neither a network nor "private"',
    "4: limits.body_rate: not yet built",
)

# Values

wrong(
    "numbers without a unit",
    """
stop_timeout: 25
limits: {body: 10, body_rate: 1024, idle_timeout: 0s}
pools: {web: {app: shop, timeout: 30, queue: {timeout: "5"}}}
""",
    '1: stop_timeout: "25" has no unit … write 25s',
    '2: limits.body: "10" has no unit … write 10MiB',
    '2: limits.body_rate: "1024" is not a rate … 1KiB/s',
    "2: limits.idle_timeout: a duration of nothing is not possible here … write for example 1s",
    '3: pools.web.queue.timeout: "5" has no unit … write 5s',
    '3: pools.web.timeout: "30" has no unit … write 30s',
)
wrong(
    "units of other servers",
    """
stop_timeout: 30sec
limits: {body: 10m, header_bytes: 8k, header_timeout: off}
pools: {web: {app: shop}}
""",
    '1: stop_timeout: "30sec" is not a duration … write 30s',
    '2: limits.body: "10m" is not a size … write 10MiB',
    '2: limits.header_bytes: "8k" is not a size … write 8KiB',
    "2: limits.header_timeout: this cannot be off",
)
wrong(
    "words where a switch or a number is wanted",
    """
routes:
  - {path: /a/, pool: web, stream: yes, mount: on}
pools: {web: {app: shop, workers: four, threads: 0}}
log: {format: apache, level: chatty}
""",
    '2: mount: "on" is neither true nor false … write true',
    '2: stream: "yes" is neither true nor false … write true',
    "3: pools.web.threads: 0 is out of range … write a number from 1 to 256",
    '3: pools.web.workers: this must be a number of workers, not "four"',
    '4: log.format: "apache" is not one of trivet, combined, json … write one of these',
    '4: log.level: "chatty" is not one of debug, info, warning, error',
)
wrong(
    "lists and mappings in each other's place",
    """
pools: [web]
routes: {path: /}
limits: 64MiB
upstreams:
  api: {}
""",
    "1: pools: this must be a mapping (key: value), not a list … write pools: {web: {app: module:callable}}",
    '2: routes: this must be a list, not a mapping … begin each item with "- "',
    '3: limits: this must be a mapping (key: value), not "64MiB" … write for example limits: {header_bytes: …}',
    "5: upstreams.api: servers is missing … write servers:",
)
wrong(
    "addresses",
    """
listen:
  - http://127.0.0.1:8000
  - 127.0.0.1
  - ::1:8000
  - 127.0.0.1:99999
  - /run/shop.sock
  - {address: 8001, group: root}
  - 8002
  - "*:8002"
  - "[::1:80"
pools: {web: {app: shop}}
""",
    '2: listen: "http://127.0.0.1:8000" is a URL, not an address … write 127.0.0.1:8000',
    '3: listen: "127.0.0.1" has no port … write for example 127.0.0.1:8000',
    '4: listen: "::1:8000" is ambiguous … write "[::1]:8000"',
    '5: listen: "127.0.0.1:99999" has no port that can be … write a port from 1 to 65535',
    '6: listen: "/run/shop.sock" is a path … write "unix:/run/shop.sock"',
    "7: listen.group: only a Unix socket has it",
    "9: listen: *:8002 is listened on twice",
    '10: listen: "[::1:80" has brackets that do not fit … write for example "[::1]:8000"',
)
wrong(
    "a socket's path that is too long, and a folder that is missing",
    f"""
listen:
  - "unix:/tmp/{"x" * 110}"
  - "unix:/nowhere/at/all.sock"
run_dir: /run/{"y" * 90}
pools: {{web: {{app: shop}}}}
""",
    "2: listen: the socket's path has 115 bytes, and the kernel takes 107 … use a shorter path",
    "3: listen: there is no /nowhere (on the way to /nowhere/at)",
    "4: run_dir: the path is too long",
)
wrong(
    "trusted proxies",
    """
trusted_proxies: [10.0.0.1/8, everyone]
client_ip: "X Real IP"
pools: {web: {app: shop}}
""",
    '1: trusted_proxies: "10.0.0.1/8" has bits set beyond its mask … write 10.0.0.0/8',
    '1: trusted_proxies: "everyone" is neither a network nor',
    '2: client_ip: "X Real IP" is not a header\'s name',
)

wrong(
    "upstreams",
    """
upstreams:
  a:
    servers: [{address: "http://a", weight: 0}, {url: "http://b"}, "http://c/x"]
    balance: random
    connect_timeout: 5
    read_timeout: 0
    max_connections: many
    retry: {attempts: 0, on: [error, 500]}
    fall: never
    max_fails: 3
  b: {servers: [{address: "http://b", backup: true}], tls: {verify: false}}
  c: {servers: "https://c", tls: {verify: false, ca: nowhere.pem, name: "c d"}, retry: 3}
  d: {servers: []}
routes: [{path: /, upstream: a, balance: round_robin, tunnel_timeout: off}]
""",
    "3: unknown key url in upstreams.a.servers",
    "3: upstreams.a.servers.weight: 0 is out of range … write a number from 1 to 1000",
    '3: upstreams.a.servers: "http://c/x" has more than a host and a port … write "http://c"',
    '3: upstreams.a.servers: address is missing … write address: "http://127.0.0.1:9000"',
    '4: upstreams.a.balance: "random" is not one of two_choices, round_robin, least_connections',
    '5: upstreams.a.connect_timeout: "5" has no unit … write 5s',
    "6: upstreams.a.read_timeout: 0 could mean none or no limit … write off",
    '7: upstreams.a.max_connections: this must be a number, not "many"',
    "8: upstreams.a.retry.attempts: 0 is out of range … write a number from 1 to 10",
    '8: upstreams.a.retry.on: "500" is not one of connect, 502, 503, 504',
    '8: upstreams.a.retry.on: "error" is not one of connect, 502, 503, 504 … write connect for',
    '9: upstreams.a.fall: this must be a number, not "never"',
    "10: unknown key max_fails in upstreams.a … write fall: 3",
    "11: upstreams.b.servers: every server is a backup … take backup: out of one",
    '11: upstreams.b.tls: no server is asked over https … write "https://host:port"',
    '12: upstreams.c.retry: this must be a mapping, not "3" … write retry: {attempts: 2} or off',
    "12: upstreams.c.tls.ca: nobody's certificate is verified … take verify: false out",
    "12: upstreams.c.tls.ca: there is no ",
    '12: upstreams.c.tls.name: "c d" is not a name … write for example api.example.com',
    '13: upstreams.d.servers: there is no server in it … write ["http://127.0.0.1:9000"]',
    "14: tunnel_timeout: this cannot be off",
    "14: unknown key balance in the route … balance: stands below an upstream",
)

# Routes

wrong(
    "a pool and an upstream that are not there",
    """
pools: {web: {app: shop}, api: {app: shop}}
upstreams: {sockets: "http://127.0.0.1:9000"}
routes:
  - {path: /a/, pool: wep}
  - {path: /b/, upstream: socket}
  - {path: /c/, upstream: "127.0.0.1:9000"}
  - {path: /d/, upstream: ["127.0.0.1:9000"]}
  - {path: /e/, upstream: "http://127.0.0.1:9000/api"}
  - {path: /f/, upstream: "uwsgi://127.0.0.1:9000"}
""",
    "4: pool: there is no pool wep … write web",
    "5: upstream: there is no upstream socket … write sockets",
    '6: upstream: there is no upstream 127.0.0.1:9000 … write "http://127.0.0.1:9000"',
    '7: upstream: there is no upstream 127.0.0.1:9000 … write "http://127.0.0.1:9000"',
    '8: upstream: "http://127.0.0.1:9000/api" has more than a host and a port … write "http://127.0.0.1:9000"',
    '9: upstream: servers that speak "uwsgi" are not possible',
)
wrong(
    "routes that can never match",
    """
pools: {web: {app: shop}}
routes:
  - {host: "*.example.com", path: /a/, pool: web}
  - {host: www.example.com, path: /a/b/, respond: 204}
  - {path: /, pool: web}
  - {path: /static/, files: static}
""",
    "4: the route for www.example.com/a/b/ can never match: *.example.com/a/ (trivet.yaml:3) takes all of it … move it up",
    "6: the route for /static/ can never match: / (trivet.yaml:5) takes all of it … move it up",
)
wrong(
    "paths",
    """
routes:
  - {path: api/, respond: 204}
  - {path: "/static/*", respond: 204}
  - {path: '^/x/\\d+$', respond: 204}
  - {path: https://example.com/y/, respond: 204}
  - {path: "/a?b=c", respond: 204}
  - {path: /a/../b, respond: 204}
  - {path: /caf%C3%A9, respond: 204}
  - {path: /static, files: static}
""",
    '2: path: "api/" does not begin with / … write /api/',
    '3: path: "/static/*": a * is not needed … write /static/ to match all beneath',
    "4: path: … looks like a regular expression … write path_regex:",
    '5: path: "https://example.com/y/" is a URL … write its host in host:',
    '6: path: "/a?b=c" has a ? or # in it',
    '7: path: "/a/../b" never comes',
    '8: path: "/caf%C3%A9" is encoded … write the path decoded',
    "9: path: /static matches exactly one path, and files is a folder … write /static/",
)
wrong(
    "files",
    """
pools: {web: {app: shop}}
routes:
  - {path: /a/, files: {root: static, cache: 30x}}
  - {path: /b/, files: {root: static, cache: no-chache}}
  - {path: /c/, files: {root: static, cache: [no-cache]}}
  - {path: /d/, files: {root: static, index: a/b.html}}
  - {path: /e/, files: {root: static, fallback: ../secret}}
  - {path: /f/, files: {root: static, fallback: missing.html}}
  - {path: /g/, files: {root: static, types: {text/html: html}}}
  - {path: /h/, files: {root: static, types: {html: page}}}
  - {path: /i/, files: {root: static, types: html}}
  - {path: /j/, files: {root: static, follow_links: maybe}}
  - {path: /k/, files: {root: static, uploads: true, precompressed: true}}
  - {path: /l/, files: {root: static, keep_releases: 3}}
  - {path: /m/, files: {index: a.html}}
  - {path: /n/, files: {root: static, autoindex: true}}
  - {path: /o/, internal: true, pool: web}
  - {path: /p/, internal: true, files: {root: static, fallback: next}}
  - {path: /q/, files: {root: static, fallback: next}}
  - {path: /q/, pool: web}
  - {path: /r/, files: {root: static, uploads: true, keep_releases: 3}}
""",
    '3: files.cache: "30x" is not a duration … write 30s',
    "4: files.cache: no-chache is not a directive of Cache-Control … write no-cache",
    "5: files.cache: a list is no way to cache … write auto, off, 30d",
    "6: files.index: a/b.html is a path, not a name … write a file's name",
    "7: files.fallback: ../secret is not a file below root … or next for the next route",
    "8: files.fallback: there is no file missing.html in root … correct the name",
    "9: files.types: text/html stands on the wrong side … write html: text/html",
    "10: files.types: page is not a content type … write for example model/gltf-binary",
    '11: files.types: this must be a mapping, not "html"',
    "12: files.follow_links: … is not one of inside, never, always",
    "13: files.precompressed: among uploads anybody could put a NAME.gz beside … take it out",
    "14: files.keep_releases: there is no folder to keep assets in … write state_dir: FOLDER",
    "15: files: root is missing … write root: ./static",
    "16: unknown key autoindex … write files: {root: FOLDER, listing: true}",
    "17: internal: only a route with files or file can be internal … take it out",
    "18: files.fallback: an internal route has no next one … take it out",
    "21: files.keep_releases: whoever uploads would decide what is kept … take it out",
)
wrong(
    "hosts",
    """
routes:
  - {host: "https://example.com/x", path: /1/, respond: 204}
  - {host: example.com:8000, path: /2/, respond: 204}
  - {host: "www.*.com", path: /3/, respond: 204}
  - {host: "*", path: /4/, respond: 204}
  - {host: bücher.example, path: /5/, respond: 204}
  - {host: "-.example", path: /6/, respond: 204}
""",
    '2: host: "https://example.com/x" is more than a host … write example.com',
    '3: host: "example.com:8000" has a port … write example.com',
    '4: host: "www.*.com": a * stands only at the front',
    '5: host: "*" is not a host … leave host: out',
    '6: host: "bücher.example" has letters beyond ASCII … write xn--bcher-kva.example',
    '7: host: "-.example" is not a host',
)
wrong(
    "no action, two actions, a mount without a pool",
    """
pools: {web: {app: shop}}
routes:
  - {path: /a/}
  - {path: /b/, pool: web, files: static}
  - {path: /c/, files: static, mount: true}
  - {path: /d, pool: web, mount: true}
""",
    "3: the route: it matches, but does nothing … add one of files, file, pool",
    "4: pool: the route has files already, and does one thing only … make two routes",
    "5: mount: only a route with a pool can mount",
    "6: mount: an application is mounted on a path with a final / … write path: /d/",
)
wrong(
    "redirects",
    """
routes:
  - {path: /a/, redirect: {to: "https://example.com{url}"}}
  - {path: /b/, redirect: example.com}
  - {path: /c/, redirect: {to: "/x/{1}", permanent: maybe}}
  - {path: /d/, redirect: {permanent: true}}
  - {path: /e/, redirect: "/a b"}
""",
    "2: redirect.to: there is no placeholder {url} … write {uri}",
    '3: redirect: "example.com" is neither a path nor a URL … write /path or https://host{uri}',
    '4: redirect.permanent: "maybe" is neither true nor false',
    "4: redirect.to: {1} needs path_regex … add one with a group",
    "5: redirect: to is missing … write to: https://example.com{uri}",
    "6: redirect: a URL has neither spaces",
)
wrong(
    "what a route asks of a request",
    """
routes:
  - {path: /a, methods: [get, TRACE, FOO], respond: 204}
  - {path: /b, headers: {X_A: 1, X-Forwarded-Proto: http, Host: a.example, X-C: [1]}, respond: 204}
  - {path: /c, query: {"a%20b": 1, a: "~(", b: "~*php"}, client: [10.0.0.1/8, me], respond: 204}
  - {path_regex: "^/(a+)+$", respond: 204}
  - {path_regex: "^/d/(.*)$", redirect: "/e/{2}"}
  - {path: /files/, internal: true, methods: GET, files: .}
  - {path: /h, headers: {X-A: 1, x-a: 2}, respond: 204}
""",
    "2: methods: TRACE is never answered here",
    "2: methods: methods are written in capitals, not get … write GET",
    '2: methods: there is no method "FOO"',
    "3: headers.Host: a route cannot ask for it so … write host:",
    "3: headers.X-C: this must be a value, true, false or ~regex, not a list",
    "3: headers.X-Forwarded-Proto: … write scheme:, which believes only trusted_proxies",
    "3: headers.X_A: headers with _ are dropped … write X-A",
    '4: client: "10.0.0.1/8" has bits set beyond its mask … write 10.0.0.0/8',
    '4: client: "me" is neither a network',
    '4: query.a%20b: "a%20b" is encoded',
    '4: query.a: "(" is no regular expression',
    '4: query.b: "~*php" is nginx\'s way … write "~(?i)php"',
    '5: path_regex: "^/(a+)+$": a repeat within a repeat can take too long',
    "6: redirect: {2}: there is one group, and {1} is the first … write ( ) around what is meant",
    "7: methods: an application orders it",
    "8: headers.x-a: it stands here already",
)
wrong(
    "routes that ask and can never match",
    """
routes:
  - {path: /a/, methods: [GET, POST], respond: 204}
  - {path: /a/b, methods: POST, respond: 204}
  - {path: /a/, methods: DELETE, headers: {X-A: true}, respond: 204}
  - {path: /a/, methods: DELETE, headers: {X-A: true, X-B: true}, respond: 204}
  - {path: /b/, client: [10.0.0.0/8, unix], respond: 204}
  - {path: /b/, client: 10.1.0.0/16, query: {a: 1}, respond: 204}
  - {path: /b/, client: 11.1.0.0/16, respond: 204}
  - {path: /b/, respond: 204}
  - {path: /b/, path_regex: x, respond: 204}
""",
    "3: the route for /a/b can never match: /a/ (",
    "5: the route for /a/ can never match: /a/ (",
    "7: the route for /b/ can never match: /b/ (",
    "10: the route for /b/ can never match: /b/ (",
)
wrong(
    "answers",
    """
routes:
  - {path: /a/, respond: 99}
  - {path: /b/, respond: {status: 204, body: nothing}}
  - {path: /c/, respond: {body: a, json: {b: 1}}}
  - {path: /d/, respond: {body: a, headers: {"X Y": 1}}}
  - {path: /e/, respond: {body: a, headers: {X-Y: "a\\r\\nSet-Cookie: b"}}}
  - {path: /f/, respond: {body: a, headers: {Content-Length: 5}}}
  - {path: /g/, respond: [a]}
""",
    "2: respond.status: 99 is out of range … write a number from 200 to 599",
    "3: respond: an answer with status 204 has no body",
    "4: respond.json: body is written already … keep one of the two",
    '5: respond.headers.X Y: "X Y" is not a header\'s name',
    "6: respond.headers.X-Y: a header's value cannot hold line ends",
    "7: respond.headers.Content-Length: Content-Length is set by the server",
    "8: respond: respond cannot be a list",
)
wrong(
    "headers",
    """
pools: {web: {app: shop}}
defaults:
  response_headers: {set: {Connection: close}}
routes:
  - path: /
    pool: web
    response_headers:
      set: {X-Id: "{request_id}", X-Group: "{1}", X-Typo: "{hots}", X-Json: '{"a": {}}'}
      add: {X-Uri: $request_uri, Trivet-Claim: 1}
      remove: Transfer-Encoding
      strip: X
""",
    "3: defaults.response_headers.set.Connection: Connection is set by the server",
    "8: response_headers.set.X-Group: {1} needs path_regex",
    "8: response_headers.set.X-Typo: there is no placeholder {hots} … write {host}",
    "9: response_headers.add.Trivet-Claim: Trivet-Claim is how the proxy speaks with its pools … take it out",
    "9: response_headers.add.X-Uri: $request_uri is nginx's … write {uri}",
    "10: response_headers.remove: Transfer-Encoding is set by the server",
    "11: unknown key strip in response_headers … the keys here are default, set, add, remove",
)
wrong(
    "headers of requests",
    """
pools: {web: {app: shop}}
defaults:
  request_headers: {set: {X-Real-IP: "{client}", X-A: "{1}"}}
routes:
  - path: /shop/
    pool: web
    request_headers:
      set: {Host: [a, b], X-Forwarded-Prefix: /a, X-Forwarded-For: "{client}", X_B: 1}
      add: {Host: a, TE: trailers, Proxy: x, X-Accel-Redirect: /x}
      default: {trivet-mount: /x, Expect: 100-continue}
      remove: [Host, X-Request-Id, Date, CDN-Loop]
  - {path: /host/, pool: web, request_headers: {set: {Host: "a b"}}}
  - {path: /moved, redirect: /x, request_headers: {set: {X-A: 1}}}
  - {path: /text, respond: {body: x, headers: {X-A: "{host}"}}}
""",
    "3: defaults.request_headers.set.X-A: {1} needs path_regex",
    "3: defaults.request_headers.set.X-Real-IP: X-Real-IP is set by the proxy, which vouches for it … trusted_proxies:",
    '8: request_headers.set.Host: Host cannot be "a, b" … write one host',
    "8: request_headers.set.X-Forwarded-For: … which vouches for it",
    "8: request_headers.set.X-Forwarded-Prefix: … write strip_prefix: in the route",
    "8: request_headers.set.X_B: X_B has a _ in it, and servers drop such headers … write X-B",
    "9: request_headers.add.Host: Host is in every request … write it below set:",
    "9: request_headers.add.Proxy: Proxy is an order to a server and never goes on",
    "9: request_headers.add.TE: TE is set by the server",
    "9: request_headers.add.X-Accel-Redirect: X-Accel-Redirect is an order to a server",
    "10: request_headers.default.Expect: Expect is set by the server",
    "10: request_headers.default.trivet-mount: trivet-mount is how the proxy speaks",
    "11: request_headers.remove: CDN-Loop is how circles are noticed",
    "11: request_headers.remove: Host is in every request",
    "11: request_headers.remove: X-Request-Id is set by the proxy, which vouches for it",
    '12: request_headers.set.Host: Host cannot be "a b"',
    "13: request_headers: nobody reads them: the route answers by itself",
    "14: respond.headers.X-A: a ready answer has no placeholders … write it in response_headers",
)
wrong(
    "redirects with a status",
    """
routes:
  - {path: /a/, redirect: {to: /x, status: 200}}
  - {path: /b/, redirect: {to: /x, status: 301, permanent: true}}
  - {path: /c/, redirect: "https://$host$request_uri"}
  - {path: /d/, redirect: {to: "/x/{9}", status: 307}}
""",
    '2: redirect.status: "200" is no status of a redirect … write one of 301, 302, 303, 307, 308',
    "3: redirect.permanent: status says it already … keep one of the two",
    "4: redirect: $host is nginx's … write {host}",
    "5: redirect.to: {9} needs path_regex",
)
wrong(
    "prefixes that are stripped",
    """
pools: {web: {app: shop}}
routes:
  - {path: /a/, strip_prefix: /b, pool: web}
  - {path: /c/, strip_prefix: c, pool: web}
  - {path: /d/, strip_prefix: /, pool: web}
  - {path: /e/, strip_prefix: /e, mount: true, pool: web}
  - {path: /f/, strip_prefix: /f, respond: 204}
  - {path: /g/, strip_prefix: /g, internal: true, files: .}
  - {path: /h/, strip_prefix: "/%41/../x", pool: web}
""",
    "3: strip_prefix: no path of this route (/a/) begins with /b",
    '4: strip_prefix: "c" does not begin with / … write /c',
    "5: strip_prefix: there is nothing to strip … write for example /api",
    "6: strip_prefix: mount: true takes the route's path off already … keep one of the two",
    "7: strip_prefix: the path goes nowhere: write it beside pool, upstream or files",
    "8: strip_prefix: the application that orders a file names its path itself",
    "9: strip_prefix: … never comes",
)
wrong(
    "rewrites",
    """
pools: {web: {app: shop}}
routes:
  - {path: /a/, rewrite: {to: "/x/{1}"}, pool: web}
  - {path: /b/, rewrite: {from: "^/b/(.*)$", to: "/x/{2}"}, pool: web}
  - {path: /c/, rewrite: {from: "(", to: /x}, pool: web}
  - {path: /d/, rewrite: {from: "^/d/(.*)$", to: /x/$1}, pool: web}
  - {path: /e/, rewrite: "https://example.com/", pool: web}
  - {path: /f/, rewrite: "/x/../{path}", pool: web}
  - {path: /g/, rewrite: "//x", pool: web}
  - {path: /h/, rewrite: /x, redirect: /y}
  - {path: /i/, rewrite: {from: x}, pool: web}
  - {path: /j/, rewrite: "/a b#c", pool: web}
  - {path: /k/, rewrite: /x, mount: true, pool: web}
  - {path: /l/, rewrite: "/x%zz", pool: web}
""",
    "3: rewrite.to: {1} needs path_regex",
    "4: rewrite.to: {2}: there is one group",
    '5: rewrite.from: "(" is no regular expression',
    "6: rewrite.to: $1 is nginx's … write {1}",
    '7: rewrite: "https://example.com/" is no path … redirect: sends clients to a URL',
    "8: rewrite: … . or .. segment",
    "9: rewrite: it begins with two slashes",
    "10: rewrite: the path goes nowhere",
    "11: rewrite: to is missing",
    "12: rewrite: a path has neither # nor spaces",
    "13: rewrite: mount: true",
    "14: rewrite: A % in the path is not followed",
)
wrong(
    "logs of routes",
    """
log: {access: off, client: hidden}
pools: {web: {app: shop}}
routes:
  - {path: /a/, pool: web, log: nowhere/a.log}
  - {path: /b/, pool: web, log: {file: [a], client: masked}}
  - {path: /c/, pool: web, log: {client: mask}}
  - {path: /d/, pool: web, log: .}
  - {path: /e/, pool: web, log: {format: json}}
""",
    '1: log.client: "hidden" is not one of whole, masked',
    "4: log: there is no … nowhere … write off, or a file in a folder that exists",
    "5: log.file: a list is no file … write off, true or a file",
    '6: log.client: "mask" is not one of whole, masked … write masked',
    "7: log: … is a folder",
    "8: unknown key format in log",
)
wrong(
    "more logs of routes than can be open",
    "log: {access: off}\nroutes:\n"
    + "".join(f"  - {{path: /{number}, respond: 204, log: {number}.log}}\n" for number in range(65)),
    "67: log: there are 65 log files, and 64 can be open … let routes share one",
)
wrong(
    "bodies larger than the spool",
    """
spool: {limit: 100MiB}
pools: {web: {app: shop}}
routes:
  - {path: /upload/, pool: web, limits: {body: 4GiB}}
  - {path: /stream/, pool: web, limits: {body: 4GiB}, stream: true}
  - {path: /, pool: web}
""",
    "4: limits.body (4GiB) is above spool.limit (100MiB) … write spool: {limit: 4GiB} or more, a smaller limit, or stream: true",
)
wrong(
    "a spool smaller than the usual body",
    """
spool: {limit: 1MiB, memory: 2MiB, dir: /nowhere}
pools: {web: {app: shop}}
""",
    "1: limits.body (64MiB) is above spool.limit (1MiB)",
    "1: spool.dir: there is no /nowhere",
    "1: spool.memory: it is above spool.limit … write at most 1MiB",
)
wrong(
    "folders and files that are missing",
    """
routes:
  - {path: /static/, files: ./statik}
  - {path: /favicon.ico, file: ./static/favicon.png}
  - {path: /x/, files: trivet.yaml}
  - {path: /, pool: web}
pools:
  web:
    app: shop
    directory: ./src
    python_path: [lib, static]
    env_file: secrets.env
log: {access: logs/access.log}
""",
    "2: files: there is no … statik … correct the path ./statik",
    "3: file: there is no … favicon.png … correct the path ./static/favicon.png",
    "4: files: … trivet.yaml is a file, not a folder",
    "9: pools.web.directory: there is no … src",
    "10: pools.web.python_path: there is no … lib",
    "11: pools.web.env_file: there is no … secrets.env",
    "12: log.access: there is no … logs … write stdout, stderr, or a file in a folder that exists",
)

# Pools

wrong(
    "several pools and no routes",
    """
pools:
  web: {app: shop}
  api: {app: api}
""",
    "1: there are several pools and no routes … write routes: [{path: /, pool: web}, …]",
)
wrong("nothing to serve", "listen: 8000\n", "1: there is nothing to serve: no pools and no routes")
wrong(
    "applications and users",
    """
routes: [{path: /, pool: a}]
pools:
  a: {workers: 2}
  b: {app: shop/wsgi}
  c: {app: "shop.wsgi:make(1)"}
  d: {app: missing.py}
  e: {app: shop, user: nobody-of-this-name, group: nor-this-one}
  "f g": {app: shop}
  h: {app: shop, env: {"A-B": x, C: [1]}, reload: {ready: healthz}}
  lock: {app: shop}
""",
    "3: pools.a: app is missing … write app: module:callable",
    '4: pools.b.app: "shop/wsgi" is neither a module nor a .py file … write shop.wsgi',
    '5: pools.c.app: "shop.wsgi:make(1)" is not an application',
    "6: pools.d.app: there is no … missing.py",
    "7: pools.e.group: there is no group nor-this-one",
    "7: pools.e.user: there is no user nobody-of-this-name",
    "8: pools.f g: a pool's name has letters, digits, - and _",
    '9: pools.h.env.A-B: "A-B" is not the name of a variable',
    "9: pools.h.env.C: this must be text, not a list … quote it",
    '9: pools.h.reload.ready: "healthz" is not a path … write ready: /healthz',
    "10: pools.lock: a file of the run directory is called lock … choose another name",
)
wrong(
    "how many workers",
    """
routes: [{path: /, pool: a}]
pools:
  a: {app: shop, workers: {min: 8, max: 2}}
  b: {app: shop, workers: {memory: 2GiB}}
  c: {app: shop, workers: {min: 0, max: 5000, wait: 50, idle: off, memory: 1MiB, cheaper: 2}}
  d: {app: shop, workers: [2, 8]}
  e: {app: shop, workers: 2-8}
  f: {app: shop, workers: auto}
  g: {app: shop, threads: 240, preload: true}
""",
    "3: pools.a.workers.min: at least 8 and at most 2 is not possible … write min: 2, max: 8",
    "4: pools.b.workers: max is missing … write max: 8",
    "5: pools.c.workers.idle: this cannot be off",
    "5: pools.c.workers.max: 5000 is out of range … write a number from 1 to 1024",
    "5: pools.c.workers.memory: 1MiB is too little … write at least 16MiB",
    "5: pools.c.workers.min: 0 is out of range … write a number from 1 to 1024",
    '5: pools.c.workers.wait: "50" has no unit … write 50s',
    "5: unknown key cheaper in pools.c.workers … write workers: {min: 1, max: 8} below the pool",
    "6: pools.d.workers: this must be a number of workers, not a list … write workers: 4 or workers: {min: 2, max: 8}",
    '7: pools.e.workers: this must be a number of workers, not "2-8" … write workers: {min: 2, max: 8}',
    '8: pools.f.workers: this must be a number of workers, not "auto" … leave it out: it is twice the cores by itself',
    "9: pools.g.threads: a preloaded worker has at most 200 threads, not 240 … write more workers",
)
wrong(
    "how workers begin and end",
    """
pools:
  web:
    app: shop
    kill_grace: off
    after_timeout: kill
    retry: always
    max_requests: 1k
    max_memory: 1MiB
    preload: yes
    post_fork: shop.hooks.connect
    worker_exit: shop:close()
    server_timing: on
    reload: {ready: "http://localhost:8000/healthz", surge: 0}
""",
    "4: pools.web.kill_grace: this cannot be off: every wait has an end",
    '5: pools.web.after_timeout: "kill" is not one of replace, keep',
    '6: pools.web.retry: "always" is not one of off, safe, idempotent',
    '7: pools.web.max_requests: this must be a number, not "1k"',
    "8: pools.web.max_memory: 1MiB is too little … write at least 16MiB",
    '9: pools.web.preload: "yes" is neither true nor false … write true',
    '10: pools.web.post_fork: "shop.hooks.connect" is not a function … write shop.hooks:connect',
    '11: pools.web.worker_exit: "shop:close()" is a call … write shop:close',
    '12: pools.web.server_timing: "on" is neither true nor false … write true',
    '13: pools.web.reload.ready: "http://localhost:8000/healthz" is an address … write ready: /healthz',
    "13: pools.web.reload.surge: 0 is out of range … write a number from 1 to 1024",
)
wrong(
    "nothing, where others mean no limit",
    """
limits: {connections_per_client: 0}
pools: {web: {app: shop, timeout: 0, max_requests: 0, max_memory: 0, threads: 0}}
""",
    "1: limits.connections_per_client: 0 could mean none or no limit … write off for no limit",
    "2: pools.web.max_memory: 0 could mean none or no limit … write off for no limit",
    "2: pools.web.max_requests: 0 could mean none or no limit … write off for no limit",
    "2: pools.web.threads: 0 is out of range … write a number from 1 to 256",
    "2: pools.web.timeout: 0 could mean none or no limit … write off for no limit",
)
wrong(
    "names that gunicorn, uWSGI and Passenger have for the life of a worker",
    """
pools:
  web:
    app: shop
    preload_app: true
    graceful-timeout: 30
    harakiri: 30
    reload-on-rss: 300
    max-worker-lifetime: 3600
    hook-post-fork: x
    cheaper: 2
    passenger_max_request_queue_size: 100
    prelod: true
    preload: {thread: allow}
""",
    "4: unknown key preload_app in pools.web … write preload: true",
    "5: unknown key graceful-timeout in pools.web … write stop_timeout: 25s",
    "6: unknown key harakiri in pools.web … write timeout: 30s below the pool",
    "7: unknown key reload-on-rss in pools.web … write max_memory: 300MiB",
    "8: unknown key max-worker-lifetime in pools.web … write max_requests: 10000 or max_memory: 300MiB",
    "9: unknown key hook-post-fork in pools.web … write post_fork: module:function",
    "10: unknown key cheaper in pools.web … write workers: {min: 1, max: 8}",
    "11: unknown key passenger_max_request_queue_size in pools.web … write queue: {limit: 1000}",
    "12: unknown key prelod in pools.web … write preload",
    "13: unknown key thread in pools.web.preload … write threads",
)
wrong(
    "variables",
    """
pools:
  web:
    app: ${MISSING}
    workers: ${FOUR_IN_WORDS}
    directory: "${BASE"
    env: {A: "${NOT A NAME}"}
""",
    "3: the variable MISSING is not set … set it, or write ${MISSING:-default}",
    '4: pools.web.workers: this must be a number of workers, not "four" (from ${FOUR_IN_WORDS})',
    '5: "${BASE" is not closed',
    '6: "${NOT A NAME}" is not a variable',
)
wrong(
    "includes",
    """
include: [sites/missing.yaml, ../*.yaml, /etc/*.yaml]
pools: {web: {app: shop}}
""",
    '1: include: "../*.yaml" leads out of the folder',
    '1: include: "/etc/*.yaml" leads out of the folder',
    '1: include: there is no file "sites/missing.yaml"',
)
wrong(
    "pages that are not there or say too much",
    """
defaults: {errors: {502: gone.html}}
routes:
  - path: /a
    respond: hi
    errors: {5XX: static/favicon.ico, 200: static/favicon.ico, 404: {json: 1, file: static/favicon.ico}}
  - {path: /b, respond: hi, errors: {401: {file: static/favicon.ico, intercept: true}, 403: static}}
  - {path: /c, respond: hi, errors: {404: [x], 405: true}}
""",
    "1: defaults.errors.502: there is no … gone.html … correct the path gone.html",
    '5: errors.200: "200" is no status of an error … write for example 502, 4xx or 5xx',
    "5: errors.404.json: a file is written already … keep one of the two",
    '5: errors.5XX: "5XX" is written in small letters … write 5xx',
    "6: errors.401.intercept: a route with respond answers itself … take it out",
    "6: errors.403: … is a folder, not a file",
    "7: errors.404: a page is a file, not a list … write a file, {json: …} or off",
    "7: errors.405: a page is a file, not … write a file, {json: …} or off",
)
wrong(
    "errors and maintenance without what they are for",
    """
defaults: {errors: page.html, maintenance: page.html, compress: gzip}
routes:
  - {path: /a, respond: hi, errors: [1], maintenance: {page: static/favicon.ico}}
  - {path: /b, respond: hi, maintenance: {when: static, except: [10.0.0.1/8], retry_after: 5}}
  - {path: /c, health: ready, maintenance: {when: static/off}}
  - {path: /d, respond: hi, maintenance: {when: static/favicon.ico, page: static/favicon.ico}}
  - {path: /e, respond: hi, gzip: true, error_page: page.html}
""",
    '1: defaults.compress: "gzip" is neither true nor false',
    "1: defaults.errors: this says for no status … write errors: {5xx: page.html}",
    "1: defaults.maintenance: this does not say when … write maintenance: {when: maintenance.on, page: page.html}",
    "3: errors: this must be a mapping … not a list … write errors: {5xx: page.html}",
    "3: maintenance: when is missing … write when: maintenance.on",
    "4: maintenance.except: … has bits set beyond its mask … write 10.0.0.0/8",
    "4: maintenance.retry_after: … s",
    "4: maintenance.when: … is a folder, not a file … name a file in it",
    "5: maintenance: a route with health is not closed for maintenance … take it out",
    "6: maintenance.page: the page is read when Trivet starts … give the file of when: another name",
    "7: unknown key error_page in the route … write errors: {502: page.html}",
    "7: unknown key gzip in the route … write compress: true",
)

# What newcomers from nginx, Caddy and Traefik write into routes

wrong(
    "words that mean something else in their section",
    """
pools: {web: {app: shop}}
upstreams:
  a: {servers: ["http://a"], keepalive: 32, weight: 2}
  b: {server: "http://b"}
routes:
  - {path: /a/, pool: web, access_log: off}
  - {path: /b/, pool: web, log: {access: off}}
  - {path: /c/, pool: web, rate_limit: {rate: 10/s, zone: x, nodelay: true}}
  - {path: /d/, pool: web, forward_auth: {url: "http://a", uri: /x, copy_headers: X-User}}
  - {path: /e/, pool: web, response_headers: {X-Frame-Options: DENY}}
  - {path: /f/, redirect: {to: /, code: 301}}
  - {path: /g/, pool: web, encode: gzip, priority: 10, cors: true}
  - {path: /h/, pool: web, blurb: 1}
  - {path: /i/, pool: web, response_headers: {set: [X-A: b]}}
""",
    "3: unknown key keepalive in upstreams.a … leave it out: connections are kept",
    "3: unknown key weight in upstreams.a … write servers: [{address:",
    "4: unknown key server in upstreams.b … write servers: [",
    "4: upstreams.b: servers is missing",
    "6: unknown key access_log in the route … write log: FILE (or off)",
    "7: unknown key access in log … write file: FILE",
    "8: unknown key nodelay in rate_limit … leave it out",
    "8: unknown key zone in rate_limit … leave it out",
    "9: unknown key copy_headers in forward_auth … write copy: [NAME]",
    "9: unknown key uri in forward_auth … write the path into url",
    "10: unknown key X-Frame-Options in response_headers … write set: {X-Frame-Options: …}",
    "11: unknown key code in redirect … write status: 301",
    "12: unknown key cors in the route … docs/from-nginx.md, 53",
    "12: unknown key encode in the route … write compress: true",
    "12: unknown key priority in the route … leave it out: the first route that matches answers",
    "13: unknown key blurb in the route … the keys here are host, scheme, listener, path, files",
    "14: response_headers.set: this must be a mapping (key: value), not a list … set: {Name: …}",
)
wrong(
    "true where it takes more than that, and nothing where a door was meant",
    """
pools: {web: {app: shop}}
defaults: {maintenance: on}
routes:
  - {path: /a/, pool: web, basic_auth: true}
  - {path: /b/, pool: web, forward_auth: yes}
  - {path: /c/, pool: web, strip_prefix: true}
  - {path: /d/, pool: web, basic_auth: {}}
  - {path: /e/, pool: web, forward_auth: {}}
  - {path: /f/, pool: web, basic_auth: off}
""",
    "2: defaults.maintenance: this does not say when … write maintenance: {when: maintenance.on}",
    "4: basic_auth: this does not say which file … write the file, or off",
    "5: forward_auth: this does not say which url … write the url, or off",
    "6: strip_prefix: this does not say which … write /c",
    "7: basic_auth: this asks for nothing … write what is asked, or off",
    "8: forward_auth: this asks for nothing … write what is asked, or off",
)
wrong(
    "nginx's signs before an expression, and groups that are not there",
    """
pools: {web: {app: shop}}
routes:
  - {path_regex: '~ ^/a', pool: web}
  - {path_regex: '~* \\.png$', pool: web}
  - {path_regex: '^/b', redirect: "/{1}"}
""",
    '3: path_regex: "~ ^/a": ~ is nginx\'s … write ^/a',
    "4: path_regex: … ~* is nginx's … write (?i)\\.png$",
    "5: redirect: {1}: there is no group … write ( ) around what is meant",
)
wrong(
    "a route that is wrong itself takes nothing from those behind it",
    """
pools: {web: {app: shop}}
routes:
  - {path: /, pool: web, listener: office}
  - {path: x, pool: web}
  - {host: "a.example:80", pool: web}
  - {path: /b/, pool: web}
""",
    "3: listener: there is no listener office",
    '4: path: "x" does not begin with / … write /x',
    '5: host: "a.example:80" has a port',
)
wrong(
    "a template without quotes within braces",
    """
routes:
  - {path: /, redirect: {host}/x}
""",
    '2: within { } and [ ], a value with braces must be quoted … write redirect: "{host}/x"',
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "favicon.ico").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_wrong_file_earns_its_lines(folder: Path, text: str, expected: list[str]) -> None:
    (folder / "trivet.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load("trivet.yaml", environ={"FOUR_IN_WORDS": "four"})
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == len(expected), "\n".join(found)
    for line, words in zip(found, expected, strict=True):
        pattern = r"trivet\.yaml:" + ".*".join(re.escape(part.strip()) for part in words.split("…"))
        assert re.match(pattern, line), f"{line}\n  is not\n{words}"


def test_the_report_is_sorted_by_line_and_has_every_file_of_an_include(folder: Path) -> None:
    (folder / "trivet.yaml").write_text(
        "include: sites/*.yaml\nlog: {levl: info}\npools: {web: {app: shop}}\n"
    )
    (folder / "sites").mkdir()
    (folder / "sites" / "b.yaml").write_text("routes:\n  - {path: /b/, pool: wbe}\nlisten: 80\n")
    (folder / "sites" / "a.yaml").write_text("routes:\n  - {path: /a/, pool: web, statik: 1}\n")
    with pytest.raises(ConfigError) as caught:
        load("trivet.yaml", environ={})
    assert [problem.where for problem in caught.value.problems] == [
        "trivet.yaml:2",
        "sites/a.yaml:2",
        "sites/b.yaml:2",
        "sites/b.yaml:3",
    ]
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"pools: {web: {app: caf\xe9}}\n", "the file is not UTF-8 text (line 1); save it as UTF-8"),
        (b"a: b\nc: \x00\n", "a control character (\\x00) stands here"),
        (b"#" * (1024 * 1024 + 1), "larger than 1024 KiB"),
        (b"a: " + b"[" * 1000, "nested too deep"),
        (b"\xef\xbb\xbf", "the file is empty"),
    ],
)
def test_bytes_that_are_no_settings(folder: Path, data: bytes, words: str) -> None:
    (folder / "trivet.yaml").write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load("trivet.yaml", environ={})
    assert words in str(caught.value)


def test_a_report_has_a_bound(folder: Path) -> None:
    (folder / "trivet.yaml").write_text("".join(f"key{number}: 1\n" for number in range(500)))
    with pytest.raises(ConfigError) as caught:
        load("trivet.yaml", environ={})
    assert len(caught.value.problems) == 101
    assert "and 400 more mistakes" in str(caught.value.problems[-1])


def test_nothing_from_outside_can_write_on_the_terminal(folder: Path) -> None:
    (folder / "trivet.yaml").write_text('pools: {web: {app: "\\e[2Jshop\\n", "\\x9bkey": 1}}\n')
    with pytest.raises(ConfigError) as caught:
        load("trivet.yaml", environ={})
    assert str(caught.value).replace("\n", "").isprintable()


WORDS = st.sampled_from(
    [
        "listen",
        "include",
        "proxy",
        "processes",
        "run_dir",
        "spool",
        "dir",
        "memory",
        "limit",
        "trusted_proxies",
        "client_ip",
        "limits",
        "body",
        "headers",
        "log",
        "access",
        "format",
        "stop_timeout",
        "defaults",
        "upstreams",
        "servers",
        "routes",
        "host",
        "path",
        "files",
        "file",
        "pool",
        "mount",
        "upstream",
        "redirect",
        "to",
        "respond",
        "status",
        "json",
        "health",
        "timeout",
        "stream",
        "response_headers",
        "set",
        "add",
        "remove",
        "pools",
        "web",
        "app",
        "directory",
        "env",
        "env_file",
        "user",
        "prepare",
        "workers",
        "threads",
        "queue",
        "reload",
        "ready",
        "8000",
        "64KiB",
        "30s",
        "off",
        "true",
        "/",
        "/api/",
        "/api",
        "shop.wsgi",
        "unix:/run/x",
        "http://127.0.0.1:1",
        "*.example.com",
        "${HOME}",
        "${X:-1}",
        "{uri}",
        "/etc/passwd",
        "~",
        "1e9",
        "0x10",
        "-1",
        "ready",
    ]
)
LEAVES = WORDS | st.text(max_size=12) | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=30,
)
SITES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("listen", "routes", "pools", "upstreams", "defaults", "log", "limits"), TREES)
)
LINES = st.lists(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "  ", "    ", "\t", "- ", "  - ", "  - {", "[", "{"]),
        WORDS | st.text(max_size=6),
        st.sampled_from([": ", ":", " :", "", ": {", ": [", ': "', ": &a ", ": *", ": |", ": !!x "]),
        WORDS | st.text(max_size=6),
    ),
    max_size=12,
).map("\n".join)

whatever = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def only_settings_or_mistakes(attempt: Callable[[], Settings]) -> None:
    try:
        problems = list(attempt().warnings)
    except ConfigError as error:
        problems = error.problems or pytest.fail("an error without a mistake")
    for problem in problems:
        assert str(problem).isprintable()
        assert not re.search(r"pydantic|validat|Traceback|should be a valid|<class", str(problem)), problem


@whatever
@given(LINES | st.text() | st.binary())
@example("pools: {web: {app: shop}}\nroutes: [{path: /, respond: {json: {a: ~}}}]\n")
@example("? [a, b]\n: c\n")
@example("a: 1\n" * 3)
def test_garbage_is_answered_and_never_a_traceback(folder: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    (folder / "trivet.yaml").write_bytes(data)
    only_settings_or_mistakes(lambda: load("trivet.yaml", environ={"HOME": "/"}))


@whatever
@given(SITES)
def test_any_tree_is_answered_and_never_a_traceback(folder: Path, site: dict[str, object]) -> None:
    only_settings_or_mistakes(lambda: from_mapping(site, base=folder, environ={"HOME": "/"}))
    only_settings_or_mistakes(lambda: from_overrides(site, base=folder, environ={"PORT": "x"}))


@whatever
@given(SITES)
def test_any_tree_in_a_file_is_answered_and_never_a_traceback(folder: Path, site: dict[str, object]) -> None:
    (folder / "trivet.yaml").write_text(yaml.safe_dump(site, allow_unicode=True), "utf-8", "surrogatepass")
    only_settings_or_mistakes(lambda: load("trivet.yaml", environ={"HOME": "/"}))
