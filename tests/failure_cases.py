"""Which test shows which of the eighty failure cases that a tool of this kind must have an answer to.

The numbers are those of the list that the suite was planned with, in its groups: A death of the runner, B half an
injection, C selection, D manifests, E semantics, F several at once, G guards, H Kubernetes, I proof. A case that only a
Kubernetes cluster can show says so; one without a test and without a reason is open.
"""

from dataclasses import dataclass

KUBERNETES = "only where there is a Kubernetes API: the kubernetes target's to show"


@dataclass(frozen=True, slots=True)
class Case:
    """One of the eighty."""

    what: str
    tests: tuple[str, ...] = ()
    """`file::test`, of this folder, without the extension."""
    elsewhere: str | None = None
    """Why no test of this folder can show it."""


ENDINGS, KILLS, RECOVER, MISHAPS = (
    "test_chaos_endings::test_every_ending_leaves_a_journal_and_a_report_that_can_be_made_again",
    "test_chaos_random_kills::test_random_sigkills_in_two_lanes_at_once_leave_nothing_behind",
    "test_chaos_recover",
    "test_chaos_mishaps",
)
TARGET, INJECTION, SELECTION, READING, RADIUS = (
    "test_chaos_targets_endings",
    "test_chaos_faults_injection",
    "test_chaos_faults_selection",
    "test_chaos_faults_reading",
    "test_chaos_faults_blast_radius",
)
FAULTS, EXTERNAL, NETWORK, RUNNER = (
    "test_chaos_targets_faults",
    "test_chaos_targets_external",
    "test_chaos_targets_network",
    "test_chaos_runner",
)

CASES: dict[int, Case] = {
    1: Case("the runner gets SIGINT", (ENDINGS,)),
    2: Case("the runner gets SIGTERM", (ENDINGS,)),
    3: Case("the runner gets SIGHUP", (ENDINGS,)),
    4: Case(
        "the runner gets SIGKILL",
        (f"{TARGET}::test_nothing_is_left_of_a_runner_that_is_killed", KILLS),
    ),
    5: Case(
        "a second SIGINT during the clean-up",
        (f"{RECOVER}::test_a_second_interrupt_shortens_the_cleanup_and_skips_nothing",),
    ),
    6: Case(
        "SIGKILL during the clean-up",
        (f"{MISHAPS}::test_a_runner_that_is_killed_while_it_cleans_up_leaves_nothing",),
    ),
    7: Case(
        "SIGSTOP of the runner past its lease",
        (f"{TARGET}::test_nothing_is_left_of_a_runner_that_stands_still_past_its_lease",),
    ),
    8: Case(
        "the kernel kills the runner for its memory: SIGKILL, from another hand",
        (f"{TARGET}::test_nothing_is_left_of_a_runner_that_is_killed",),
    ),
    9: Case(
        "a full disk when the intent is written",
        (
            f"{INJECTION}::test_a_disk_that_refuses_the_intent_keeps_nothing_in_force",
            f"{RECOVER}::test_a_run_that_cannot_be_put_on_record_is_refused_before_anything_starts",
        ),
    ),
    10: Case(
        "an exception in each phase",
        (f"{MISHAPS}::test_a_mistake_of_ours_in_any_phase_leaves_no_effect",),
    ),
    11: Case(
        "a reboot: a stale state folder",
        (
            f"{RECOVER}::test_after_a_reboot_what_a_run_left_on_disk_is_removed_and_the_second_time_there_is_nothing",
        ),
    ),
    12: Case(
        "a stored pid belongs to another process",
        (f"{RECOVER}::test_a_pid_that_was_given_to_another_process_is_not_the_runner_and_is_not_signalled",),
    ),
    13: Case(
        "some of the targets fail to be hit",
        (f"{INJECTION}::test_a_fault_that_was_half_injected_is_undone_too",),
    ),
    14: Case(
        "a target dies between selection and injection",
        (f"{FAULTS}::test_an_incarnation_that_is_gone_is_refused_and_nothing_is_touched",),
    ),
    15: Case(
        "a target was replaced under the same name",
        (f"{FAULTS}::test_an_incarnation_that_is_gone_is_refused_and_nothing_is_touched",),
    ),
    16: Case("the API answers 409, 429, 500, or nothing", elsewhere=KUBERNETES),
    17: Case("a status update is lost after a kill", elsewhere=KUBERNETES),
    18: Case("an apply succeeds after the client gave up", elsewhere=KUBERNETES),
    19: Case(
        "undoing fails once and then works",
        (f"{MISHAPS}::test_a_mistake_of_ours_in_any_phase_leaves_no_effect",),
    ),
    20: Case(
        "undoing never works: exit code 5",
        (
            f"{RUNNER}::test_a_fault_that_outlives_its_recovery_is_the_loudest_ending",
            f"{EXTERNAL}::test_an_undoing_that_fails_is_loud_and_stays_on_record",
            f"{RECOVER}::test_what_cannot_be_undone_is_named_with_exit_code_5_and_does_not_keep_the_rest",
        ),
    ),
    21: Case(
        "a target is gone when its fault is undone",
        (
            f"{NETWORK}::test_the_replacement_of_a_victim_is_not_hit_and_its_end_is_no_failed_recovery",
            f"{NETWORK}::test_recovery_is_harmless_when_the_cluster_has_ended",
        ),
    ),
    22: Case("a selector matches nobody", (f"{RADIUS}::test_selector_that_matches_nothing_is_refused",)),
    23: Case("it matches terminating pods alone", (f"{SELECTION}::test_selection_is_that_of_chaos_mesh",)),
    24: Case(
        "rounding of percentages, 2,000 cells", (f"{SELECTION}::test_rounding_matches_go_in_every_cell",)
    ),
    25: Case(
        "percentages that are none", (f"{SELECTION}::test_draw_refuses_a_value_that_its_mode_cannot_use",)
    ),
    26: Case("a fixed number above that of the candidates", (f"{SELECTION}::test_mode_decides_how_many",)),
    27: Case(
        "a fixed number of 0 or -1",
        (f"{READING}::test_mode_refuses_the_values_that_the_webhook_refuses",),
    ),
    28: Case("random-max-percent draws none", (f"{SELECTION}::test_random_max_percent_may_draw_none",)),
    29: Case(
        "a namespace named twice",
        (f"{SELECTION}::test_draw_repeats_a_replica_no_more_often_than_the_candidates_do",),
    ),
    30: Case("selector.pods overrides labels", (f"{SELECTION}::test_selection_is_that_of_chaos_mesh",)),
    31: Case("a phase with a bang", (f"{SELECTION}::test_selection_is_that_of_chaos_mesh",)),
    32: Case("expressions, and an invalid operator", (f"{SELECTION}::test_selection_is_that_of_chaos_mesh",)),
    33: Case("the union of nodes", (f"{SELECTION}::test_selection_is_that_of_chaos_mesh",)),
    34: Case(
        "every set of victims is equally likely",
        (f"{SELECTION}::test_every_set_of_victims_is_equally_likely",),
    ),
    35: Case(
        "one seed, the same victims",
        (f"{SELECTION}::test_same_seed_draws_the_same_victims_in_the_same_order",),
    ),
    36: Case(
        "one protected candidate refuses everything",
        (f"{RADIUS}::test_one_protected_candidate_refuses_everything_by_name",),
    ),
    37: Case(
        "an unknown field",
        (f"{READING}::test_every_key_misspelt_is_refused_by_path_with_its_right_spelling",),
    ),
    55: Case(
        "two delays add up",
        (
            "test_chaos_targets_proxy_faults::test_delays_of_two_faults_add_up_and_what_waits_for_one_alone_goes_when_that_is_undone",
        ),
    ),
    56: Case(
        "a delay and a partition of one link overlap",
        (f"{NETWORK}::test_a_delay_can_be_undone_while_a_partition_goes_on",),
    ),
    58: Case(
        "a replacement is not hit again",
        (f"{NETWORK}::test_the_replacement_of_a_victim_is_not_hit_and_its_end_is_no_failed_recovery",),
    ),
    59: Case(
        "two runs on one target; a local run has a cluster of its own",
        (f"{EXTERNAL}::test_a_second_run_on_a_service_is_refused_and_the_kernel_lets_go_of_a_killed_one",),
    ),
    60: Case(
        "the clean-up of one run leaves another's faults",
        (f"{MISHAPS}::test_a_run_that_crashes_and_its_recovery_leave_another_run_as_it_is",),
    ),
    61: Case(
        "one run crashes while another goes on",
        (f"{MISHAPS}::test_a_run_that_crashes_and_its_recovery_leave_another_run_as_it_is",),
    ),
    62: Case(
        "one name twice",
        (
            "test_chaos_faults_timetable::test_a_second_fault_of_one_name_is_its_second_occurrence",
            f"{RUNNER}::test_a_second_injection_of_one_name_that_nobody_could_prove_is_not_proved_by_the_first",
        ),
    ),
    63: Case(
        "a guard trips within one period",
        (f"{RUNNER}::test_a_guard_that_trips_undoes_the_fault_and_ends_the_run_with_a_journal",),
    ),
    78: Case(
        "a mis-aimed fault fails its proof",
        (
            f"{FAULTS}::test_a_mis_aimed_kill_fails_verification",
            f"{RUNNER}::test_a_fault_that_is_aimed_and_injected_into_nobody_proves_nothing",
        ),
    ),
    **{
        number: Case(what, elsewhere=KUBERNETES)
        for number, what in {
            70: "a missing verb is named before injection",
            71: "the CRDs are not there",
            72: "the webhook is down",
            73: "the controller is down",
            74: "a finalizer is stuck",
            75: "a watch expires",
            76: "a dry run writes nothing",
            77: "a namespace is not annotated",
        }.items()
    },
}

OPEN = sorted({*range(1, 81)} - {*CASES})
"""Cases that have no row yet."""
