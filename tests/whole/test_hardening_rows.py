"""Every class of attack, and every fault, has a test that bears its name or is named here.

S framing and smuggling, H fields and identity, P paths and files, D exhaustion, L processes and local
attackers, F faults. The inputs of the corpus are sent by test_corpus_wire to the proxy, to a slot and to
both; the rest stands beside it. Rows of HTTP/2 and a cache come with those.
"""

import re
from pathlib import Path

import pytest

from tests.requests.corpus import accepted, refused

TESTS = Path(__file__).parents[1]
# row: where else it is tested than by a test of its name or by inputs of the corpus
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "S6": ("whole/test_connections.py::test_an_unread_body_is_not_taken_for_a_request",),
    "S7": ("whole/test_connections.py::test_expect_100_continue",
           "backend/test_slot.py::test_expect_100_continue"),
    "S11": ("common/test_chunked.py",),
    "S14": ("whole/test_corpus_wire.py::test_pair_accepts",),
    "S16": ("whole/test_corpus_wire.py::test_pair_accepts",
            "proxy/test_handler_upstream.py::test_an_upgrade_is_not_asked_for_by_itself",
            "proxy/test_tunnel.py::test_a_switch_to_something_else_opens_nothing",
            "whole/test_upstream_keys.py::"
            "test_what_follows_an_upgrade_that_is_not_granted_is_the_next_request",
            "whole/test_node_behind.py::test_http2_is_not_tunnelled"),
    "S17": ("whole/test_corpus_wire.py::test_s17_nothing_behind_a_bad_request_is_run_wherever_it_is_cut",),
    "S18": ("proxy/test_answer.py::test_a_body_cut_short_ends_the_clients_connection",),
    "S19": ("whole/test_flask_bodies.py::test_upload_and_download_of_50_mib_byte_for_byte",),
    "H1": ("proxy/test_forwarded.py::test_what_a_client_may_not_say_is_dropped",),
    "H2": ("proxy/test_forwarded.py::test_what_connection_names_ends_here",),
    "H3": ("whole/test_forged_headers.py::test_what_a_client_says_of_itself_is_not_believed",
           "proxy/test_forwarded.py::test_the_rightmost_hop_nobody_vouches_for_is_the_client"),
    "H10": ("backend/test_response.py::test_what_breaks_the_rules_is_a_500_and_explained",),
    "H11": ("backend/test_response.py::test_more_than_the_length_is_cut_and_the_connection_closed",),
    "H13": ("proxy/test_redirect.py::test_to_the_slash",),
    "P1": ("proxy/test_files.py::test_nothing_else_is_served",),
    "P6": ("proxy/test_files.py::test_a_link_swapped_in_a_loop_never_leads_outside",),
    "P9": ("proxy/test_files.py::test_a_large_file_that_shrinks_is_cut_not_padded",),
    "P11": ("proxy/test_spool.py",),
    "D1": ("backend/test_slot.py::test_a_head_that_never_ends_is_408",
           "whole/test_corpus_wire.py::test_what_is_not_finished_ends_in_408_or_a_close"),
    "D2": ("backend/test_slot.py::test_a_body_that_drips_is_408", "proxy/test_body.py"),
    "D3": ("whole/test_slow_client.py::test_a_slow_download_delays_nobody",
           "backend/test_slot.py::test_a_client_that_does_not_read_is_closed_after_write_timeout"),
    "D10": ("endurance/test_tls_crowds.py::test_honest_clients_beside_handshakes_that_stall",
            "whole/test_tls_clients.py",
            "proxy/test_door.py",
            "proxy/test_tls_connection.py::test_who_shakes_no_hands_is_let_go"),
    "D11": ("whole/test_flask_bodies.py::test_a_body_above_the_limit_is_refused_before_it_is_sent",),
    "L5": ("whole/test_socket_rights.py::test_for_two_users",
           "whole/test_socket_rights.py::test_another_user_cannot_connect",
           "whole/test_kill.py::test_a_run_directory_is_taken_over_from_the_dead_only",
           "backend/test_sockets.py::test_a_path_is_taken_over_only_by_a_socket_that_listens"),
    "F4": ("whole/test_reload.py::test_under_load",),
    "F6": ("whole/test_stopped_worker.py",),
    "F7": ("whole/test_kill.py::test_any_process_below_serve",),
    "F8": ("whole/test_kill.py::test_serve_itself",),
    "F9": ("whole/test_stop.py::test_a_request_in_flight_is_finished",
           "whole/test_stop.py::test_who_comes_while_it_leaves_is_served_or_refused",
           "whole/test_stop.py::test_a_request_that_does_not_end"),
    "F30": ("whole/test_tls_certificates.py::test_swaps_under_load",
            "whole/test_tls_certificates.py::test_a_broken_pair_leaves_the_old_one"),
    "F18": ("whole/test_hardening_upstream.py",),
}  # fmt: skip
# Of the faults, those that concern the pool's processes.
FAULTS = (*range(3, 14), 18, 19, 30, 32, 33)
ROWS = [
    *(f"S{number}" for number in range(1, 22) if number != 20),
    *(f"H{number}" for number in range(1, 15) if number != 12),
    *(f"P{number}" for number in range(1, 12)),
    *(f"D{number}" for number in range(1, 13) if number not in (7, 8)),
    *(f"L{number}" for number in range(1, 10)),
    *(f"F{number}" for number in FAULTS),
]


def named() -> set[str]:
    """The rows that names of tests begin with: test_p3_p4_one_form, test_s18_what_is_no_answer."""
    found = set()
    for path in [*TESTS.glob("whole/test_hardening_*.py"), *TESTS.glob("whole/test_faults_*.py")]:
        for rows in re.findall(r"^def test((?:_[shpdlf]\d+)+)_", path.read_text(), re.MULTILINE):
            found |= set(rows[1:].upper().split("_"))
    return found


@pytest.mark.parametrize("row", ROWS)
def test_row_is_tested(row: str) -> None:
    inputs = {entry.row for entry in refused() + accepted()}
    assert row in named() or row in inputs or row in ELSEWHERE


@pytest.mark.parametrize("place", sorted({place for places in ELSEWHERE.values() for place in places}))
def test_what_is_named_here_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    text = (TESTS / file).read_text()
    assert not name or re.search(rf"^(async )?def {name}\(", text, re.MULTILINE)
