"""The lines of the design that each must have a named test: here is which test is whose, and that it is there."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

THREATS = {
    1: "auth/test_owner.py::test_switching_one_person_off_leaves_the_other",
    2: "auth/test_owner.py::test_a_stranger_with_the_owner_link_sees_masked_contacts_and_nothing_else",
    3: "auth/test_threats.py::test_a_failed_claim_of_an_owner_link_is_shown_at_the_desk",
    4: "auth/test_threats.py::test_a_password_never_leaves_by_the_way_of_its_link",
    5: "auth/test_opening.py::test_looking_at_the_page_and_the_session_uses_no_opening_up",
    6: "auth/test_opening.py::test_a_link_is_taken_in_small_letters_with_dashes",
    7: "pages/test_recipient_page.py::test_no_page_loads_anything_from_elsewhere_and_every_page_says_so",
    8: "system/test_patients_way.py::test_the_whole_way_from_the_form_to_switched_off",
    9: "auth/test_opening.py::test_done_ends_the_session",
    10: "auth/test_opening.py::test_unknown_and_wrong_links_get_one_and_the_same_answer",
    11: "auth/test_opening.py::test_fifty_parallel_guesses_never_exceed_the_counter",
    12: "auth/test_threats.py::test_a_paused_link_goes_on_when_its_owner_says_so",
    13: "delivery/test_outbox.py::test_one_address_gets_so_many_messages_a_day_and_no_more",
    14: "auth/test_threats.py::test_asking_for_access_answers_alike_whoever_asks",
    15: "app/test_access_rules.py::test_no_search_with_whatever_key_finds_another_study",
    16: "app/test_access_rules.py::test_no_way_leads_from_a_share_to_another_study",
    17: "auth/test_access.py::test_a_ticket_stores_and_deletes_nothing_and_neither_does_a_session",
    18: "auth/test_access.py::test_a_running_download_breaks_off_within_two_seconds_of_its_ending",
    19: "auth/test_access.py::test_another_site_cannot_make_a_browser_change_anything",
    20: "auth/test_access.py::test_a_ticket_expires_and_ends_with_its_share",
    21: "app/test_documents.py::test_a_structured_report_is_html_in_a_sandbox",
    22: "auth/test_threats.py::test_a_forged_host_changes_no_address_that_we_give_out",
    23: "auth/test_staff.py::test_the_desk_sees_counts_and_neither_secrets_nor_whom_the_patient_named",
    24: "auth/test_requests.py::test_a_leaked_database_holds_no_contact_no_link_and_no_message",
    25: "pages/test_owner_page.py::test_the_page_says_what_switching_off_cannot_do",
}
STEPS = {
    "A1": "system/test_patients_way.py::test_a_patients_own_telephone_fills_the_form_in_and_the_desk_confirms_it",
    "A2": "auth/test_requests.py::test_withdrawing_consent_kills_every_link_of_it",
    "A3": "auth/test_requests.py::test_a_doubtful_match_is_the_desks_to_decide",
    "B1": "auth/test_requests.py::test_three_ways_carry_one_and_the_same_owner_link",
    "B2": "auth/test_requests.py::test_messages_hold_no_name_and_nothing_of_the_examination",
    "B3": "delivery/test_outbox.py::test_a_text_message_is_asked_for_as_the_settings_say",
    "B4": "delivery/test_handout.py::test_the_squares_on_the_paper_are_the_link",
    "B5": "system/test_patients_way.py::test_the_whole_way_from_the_form_to_switched_off",
    "B6": "pages/test_owner_page.py::test_a_report_without_images_never_goes_out_as_your_images_are_ready",
    "C1": "auth/test_owner.py::test_nothing_can_be_shared_before_the_link_was_checked",
    "C2": "auth/test_owner.py::test_three_codes_an_hour_and_then_the_desk_can_still_renew",
    "C3": "system/test_patients_way.py::test_the_whole_way_from_the_form_to_switched_off",
    "C4": "auth/test_owner.py::test_seeing_what_others_see_gives_no_right_of_the_owners",
    "D1": "pages/test_owner_page.py::test_each_way_to_share_says_its_risk_and_password_is_chosen",
    "D2": "auth/test_opening.py::test_the_cookie_from_before_the_password_is_worth_nothing_after_it",
    "D3": "auth/test_owner.py::test_the_sixth_try_of_a_code_fails_even_when_it_is_right",
    "E1": "system/test_patients_way.py::test_the_whole_way_from_the_form_to_switched_off",
    "E2": "pages/test_recipient_page.py::test_the_images_page_tells_who_what_and_until_when",
    "E3": "auth/test_owner.py::test_the_trail_tells_who_opened_what_and_when_and_wrong_tries",
    "E4": "auth/test_owner.py::test_the_first_opening_is_told_at_once_and_later_ones_once_a_day",
}


@pytest.mark.parametrize("line", [*THREATS, *STEPS])
def test_each_line_of_the_design_has_its_test(line):
    path, _, name = {**THREATS, **STEPS}[line].partition("::")
    tree = ast.parse((TESTS / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
