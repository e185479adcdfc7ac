"""What Snakemake plans: everything at first, and later only what depends on a change."""

import re
import shlex

import pytest

# Dry runs of Snakemake take two seconds each.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("plan")]
EVALUATED = {
    "evaluate": 4,
    "table_system": 1,
    "table_fid": 1,
    "table_comparisons": 1,
    "table_refinement": 1,
    "table_steps": 1,
    "figure_fid": 1,
    "figure_comparisons": 1,
    "figure_candidates": 1,
    "figure_steps": 1,
    "figure_samples": 1,
    "figure_schedule": 1,
    "all": 1,
}
# Beside the methods of the four experiments: refined runs, and numbers of steps that a curve has.
REFINED = {
    "refine": 5 + 4 + 2 + 2,
    "evaluate_refined_best2_best4_resampled2_ahead4_both": 1,
    "evaluate_refined_best4_resampled2_ahead2_ahead4": 1,
    "evaluate_refined_best4_resampled2": 2,
}
STEPS_FLOW = {"evaluate_steps_handmade_tuned_adagen": 2}
STEPS_SEARCHED = {"evaluate_steps_handmade_tuned_static_adagen": 3, **STEPS_FLOW}
STEPS = {"evaluate_steps_handmade_adagen": 2, **STEPS_SEARCHED}
TRAINED = {"train": 8 + 10, "sample": 8 + 10, "figure_training": 1}
LEARNED = {**TRAINED, "fit_judges": 4, **REFINED, **STEPS}
SEARCHED = {"sweep": 4 + 5, "sample": 4 + 5, "figure_sweep": 1}
FROZEN = {"pretrain": 4, "metric_networks": 1, "reward_features": 1, "reference": 1}
# What a change of the flow alone touches.
REFINED_FLOW = {"fit_judges": 1, "refine": 2, "evaluate_refined_best4_resampled2": 1}
FLOW = {**REFINED_FLOW, "evaluate": 1, "figure_training": 1}
# Tables and figures of both dials, and what judges them.
DIALS = {
    "judge": 1,
    "table_fidelity": 1,
    "table_guidance": 1,
    "figure_dial": 1,
    "figure_dial_strip": 1,
}
WITHOUT_CURVES = "curves={fidelity: null, guidance: null}"


def test_first_run_makes_everything(checkout) -> None:
    everything = {**TRAINED, **SEARCHED, **EVALUATED, **FROZEN, **DIALS, "preference": 1}
    # Faithful policies, baselines, MaskGIT at another number of steps, and two guidance scales.
    everything |= {"train": 8 + 1, "sweep": 4, "sample": 19 + 1 + 2, "evaluate_steps_adagen": 1}
    everything |= {"blend": 1, "evaluate_dial": 1, "evaluate_guidance": 2}
    # MaskGIT has one method of its own, DiT and SiT have another.
    everything |= {"evaluate": 1, "evaluate_halton": 1, "evaluate_logsnr_time": 2}
    # One refinement is made for all, one looks ahead, which deterministic solvers don't, and one is
    # asked for in one experiment alone.
    everything |= {"fit_judges": 1, "refine": 4 + 2 + 1, "evaluate_refined_best2": 2}
    everything |= {"evaluate_refined_best2_ahead2": 1, "evaluate_refined_best2_ahead2_both2": 1}
    assert checkout.planned("--configfile", "config/smoke.yaml") == everything


def test_finished_run_has_nothing_to_do(finished) -> None:
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("change", "planned"),
    [
        ("training={clip: 0.1}", {**LEARNED, **EVALUATED}),
        ("policy={hidden: 32}", {**LEARNED, **EVALUATED}),
        ("sweep={evaluations: 7}", {**SEARCHED, **EVALUATED, **STEPS_SEARCHED}),
        ("evaluation={samples: 700}", {**EVALUATED, **REFINED, **STEPS, "sample": 16 + 22}),
        (
            "evaluation={neighbours: 4}",
            {
                k: v
                for k, v in {**EVALUATED, **REFINED, **STEPS}.items()
                if k not in ("figure_samples", "figure_schedule", "refine")
            },
        ),
        (
            "generators={sit: {precision: bfloat16}}",
            {
                **EVALUATED,
                **FLOW,
                **STEPS_FLOW,
                "train": 2 + 2,
                "sweep": 1 + 2,
                "sample": 4 + 6,
                "figure_sweep": 1,
            },
        ),
        (
            "experiments={digits_sit_t4: {training: {updates: 7}}}",
            # The other number of steps has its own. A search draws as many images as a training.
            {**EVALUATED, **FLOW, "train": 2, "sweep": 1, "sample": 3, "figure_sweep": 1},
        ),
        (
            "generators={sit: {pretrain: {updates: 7}}}",
            {
                **EVALUATED,
                **FLOW,
                **STEPS_FLOW,
                "pretrain": 1,
                "train": 2 + 2,
                "sweep": 1 + 2,
                "sample": 4 + 6,
                "figure_sweep": 1,
            },
        ),
        ("training_seeds=[0, 1]", {**LEARNED, **EVALUATED}),
    ],
)
def test_change_plans_only_what_depends_on_it(finished, change: str, planned: dict) -> None:
    assert finished.planned("--config", change, WITHOUT_CURVES) == planned


def test_changes_that_nothing_depends_on_plan_nothing(finished) -> None:
    changes = (
        "preference={width: 8}",  # it is the reward of no experiment here
        "training={batch: 64, keep_features: host}",
        "evaluation={shard: 64}",
        "device=auto",
        "processes=2",
        "generators={sit: {batch: 64, decode_batch: 8}}",
    )
    assert finished.planned("--config", *changes, WITHOUT_CURVES) == {}


def test_another_arithmetic_makes_everything_again(finished) -> None:
    assert finished.planned("--config", "arithmetic=native") == finished.planned("--forceall")


def test_a_briefer_search_of_the_curves_concerns_their_numbers_of_steps_alone(finished) -> None:
    change = "curves={sweep: {samples: 351}, fidelity: null, guidance: null}"
    shown = ("table_steps", "figure_steps", "table_refinement", "figure_candidates", "all")
    expected = {"sweep": 5, "sample": 5, **STEPS_SEARCHED, **dict.fromkeys(shown, 1)}
    assert finished.planned("--config", change) == expected


@pytest.mark.parametrize(
    ("change", "planned"),
    [
        ("dial={weight: 2.0}", {"train": 1, "sample": 1, "blend": 4, "evaluate_dial": 1}),
        ("curves={fidelity: {points: [0, 0.2, 0.5, 1]}}", {"blend": 1, "evaluate_dial": 1}),
        ("curves={guidance: {scales: [0, 1.5, 5]}}", {"sample": 1, "evaluate_guidance": 1}),
    ],
)
def test_a_dial_that_is_turned_otherwise_plans_its_own(finished, change: str, planned) -> None:
    assert finished.planned("--config", change) == {**DIALS, **planned, "all": 1}


def test_all_that_an_experiment_has_is_one_target(checkout) -> None:
    """What is refined or turned belongs to its experiment."""
    planned = checkout.planned("experiment_digits_sit_t4")
    made = {
        "train": 3,
        "sweep": 1,
        "sample": 5,
        "fit_judges": 1,
        "refine": 2,
        "blend": 4,
    }  # faithful among them
    measured = {"evaluate": 1, "evaluate_refined_best4_resampled2": 1, "evaluate_dial": 1}
    assert {rule: planned.get(rule) for rule in made | measured} == made | measured


def test_a_policy_that_is_gone_is_made_again(finished) -> None:
    """The metrics and the table are there, but not the policies behind them."""
    name = "digits_sit_t4-steps-8"
    made = {"train": 1, "sample": 1, "evaluate_steps_handmade_tuned_adagen": 1}
    gone = finished.folder / f"results/{name}/policy/adagen_seed0.safetensors"
    kept = gone.rename(gone.with_suffix(".kept"))
    try:
        for target in (f"experiment_{name}", "results/tables/steps.csv"):
            assert made.items() <= finished.planned(target).items()
    finally:
        kept.rename(gone)


@pytest.mark.slow
def test_a_killed_training_is_made_good(checkout) -> None:
    """Snakemake deletes a policy before the training that replaces it."""
    policy = checkout.folder / "results/smoke/digits_sit_t4/policy/adagen_seed0.safetensors"
    target = "results/smoke/tables/fid.csv"
    options = ("--configfile", "config/smoke.yaml", "--config", "methods=[handmade, adagen]")
    options += ("refinements=null", "curves=null", "ablation=null")
    checkout.snakemake(target, *options)
    policy.unlink()
    made = {"train": 1, "sample": 1, "evaluate": 1, "table_fid": 1}
    assert checkout.planned(target, *options) == made
    checkout.snakemake(target, *options)
    assert policy.exists() and set(checkout.planned(target, *options)) <= {"table_fid"}
    checkout.snakemake(target, *options)
    assert checkout.planned(target, *options) == {}


def test_a_dial_has_targets_of_its_own(checkout) -> None:
    assert not {"blend", "judge"} & set(checkout.planned("results/tables/fid.csv", "pretrained"))
    planned = checkout.planned("guidance", "--config", "curves={fidelity: null}")
    # At the experiment's own scale it passes through a run that is measured with its others.
    assert not {"blend", "judge", "preference"} & set(planned)
    assert (planned["sample"], planned["table_guidance"]) == (4 + 5, 1)
    # Whoever has no policy to turn has no such curve.
    planned = checkout.planned("--config", "methods=[handmade, tuned]")
    assert "table_fidelity" not in planned and planned["table_guidance"] == 1


def test_ablation_trains_what_differs_and_all_doesnt_ask_for_it(checkout) -> None:
    """Beside the one run that the experiment has itself: its other seeds, and derived ones."""
    ablation = (
        "ablation={only: [smoke, clip], training_seeds: [0, 1], "
        "studies: {smoke: {searched: {method: tuned, smoothing: 0.4}}}}"
    )
    options = ("--configfile", "config/smoke.yaml", "--config", ablation)
    everything = checkout.planned(*options)
    assert everything["sample"] == 22 and "table_ablation" not in everything
    assert checkout.planned("ablation", *options) == {
        "pretrain": 1,
        "metric_networks": 1,
        "reward_features": 1,
        "reference": 1,
        # The experiment, two clips and no step and the static policy, two seeds each; two searches.
        # The experiment's own runs are measured together, a faithful one and three without training
        # among them.
        "preference": 1,
        "train": 8 + 2 + 1,
        "sweep": 2 + 1,
        "sample": 8 + 2 + 1 + 2 + 3,
        "evaluate_halton": 1,
        "evaluate_ablation_adagen_seed1_static_seed0_static_seed1_interval": 1,
        "evaluate_ablation_adagen_seed0_adagen_seed1": 3,
        "evaluate_ablation_tuned": 1,
        "table_ablation": 1,
        "figure_ablation": 1,
        "ablation": 1,
    }


OF_ABLATION = {
    "table_ablation",
    "figure_ablation",
    "evaluate_ablation_adagen_seed0",
    "evaluate_ablation_static_seed0_interval",
}


def test_paper_is_all_that_the_configuration_has(checkout) -> None:
    options = ("--configfile", "config/smoke.yaml")
    everything, ablation = checkout.planned(*options), checkout.planned("ablation", *options)
    paper = checkout.planned("paper", *options)
    own = set(paper) - set(everything)
    assert own == {"paper", "figure_grid", *OF_ABLATION}
    # What `all` makes, and the variants of the ablation, each once: a policy that sees no step, a
    # static one, and one that is searched for.
    varied = {"train": 2, "sweep": 1, "sample": 3}
    assert {rule: count for rule, count in paper.items() if rule in everything} == {
        rule: count + varied.get(rule, 0) for rule, count in everything.items() if rule != "all"
    }
    assert {rule: paper[rule] for rule in OF_ABLATION} == {
        rule: ablation[rule] for rule in OF_ABLATION
    }
    assert paper["figure_grid"] == 4 * 2  # hand-made and AdaGen
    # A configuration without ablation and refinements has a smaller one, of each experiment.
    planned = checkout.planned("paper", "--configfile", "config/imagenet512.yaml")
    assert (planned["table_system"], planned["figure_samples"], planned["figure_grid"]) == (1, 3, 6)
    assert not {"table_ablation", "table_refinement", "figure_sweep"} & set(planned)


def test_the_page_names_commands_of_the_same_configuration(checkout) -> None:
    options = ("--configfile", "config/smoke.yaml", "--config", "sweep={samples: 301}")
    plan = checkout.snakemake("--dry-run", "--printshellcmds", "paper", *options).stdout
    (command,) = [line for line in plan.splitlines() if " adagen paper " in line]
    words = shlex.split(command.split("Shell command: ")[1])
    told = shlex.split(words[words.index("--options") + 1])
    assert told[:3] == ["--configfile", "config/smoke.yaml", "--config"]
    again = checkout.snakemake("--dry-run", "paper", *told).stdout
    assert stages_config(again) == stages_config(plan)


def stages_config(plan: str) -> set[str]:
    """The file of the merged configuration, which is named after its content."""
    return set(re.findall(r"--config (\.snakemake/\S+)", plan))


def test_titles_and_published_numbers_concern_their_table_alone(finished) -> None:
    change = "generators={sit: {title: a name}}"
    assert finished.planned("--config", change) == {"table_system": 1, "all": 1}


@pytest.mark.slow
def test_a_refinement_is_made_again_when_it_changes_and_nothing_else_is(checkout) -> None:
    options = ("--configfile", "config/smoke.yaml")
    checkout.snakemake("refinement", *options)
    assert checkout.planned("refinement", *options) == {}
    table = {"table_refinement": 1, "figure_candidates": 1, "refinement": 1}
    change = "refinements={ahead2: {temperature: 2.0}}"
    assert checkout.planned("refinement", *options, "--config", change) == {
        "refine": 2,
        "evaluate_refined_best2_ahead2": 1,
        "evaluate_refined_best2_ahead2_both2": 1,
        **table,
    }
    # Asked for in fewer experiments, there is less of it, and what is there is as it was.
    change = "refinements={ahead2: {experiments: [digits_var_t4]}}"
    planned = checkout.planned("refinement", *options, "--config", change)
    assert planned == {"evaluate_refined_best2_both2": 1, **table}
    # Nothing to refine: there is no such target, and the rest of the run is as it was.
    planned = checkout.planned(*options, "--config", "methods=[handmade, tuned]")
    assert "refine" not in planned and "table_fid" in planned


def test_without_an_ablation_there_is_no_such_target(checkout) -> None:
    done = checkout.snakemake(
        "--dry-run", "ablation", "--configfile", "config/cifar10.yaml", check=False
    )
    assert done.returncode != 0 and "MissingRuleException" in done.stdout + done.stderr


@pytest.mark.slow
def test_the_classifier_is_made_where_it_is_the_reward(checkout) -> None:
    one = "experiments={digits_sit_t4: {training: {reward: {kind: classifier}}}}"
    options = ("--config", one, "refinements=null", "curves=null")
    planned = checkout.planned(*options)
    assert planned["preference"] == 1
    checkout.snakemake(*options)
    planned = checkout.planned(*options, "preference={fit: {updates: 7}}")
    assert (planned["preference"], planned["train"]) == (1, 2)


@pytest.mark.slow
def test_the_dial_concerns_the_faithful_policies_alone(checkout) -> None:
    dial = ("methods=[handmade, adagen, faithful]", WITHOUT_CURVES, "dial={weight: 1.0}")
    checkout.snakemake("--config", *dial)
    heavier = (*dial[:2], "dial={weight: 2.0}")
    planned = checkout.planned("--config", *heavier)
    assert (planned["train"], planned["sample"], planned["evaluate"]) == (4, 4, 4)
    commands = checkout.snakemake("--dry-run", "--printshellcmds", "--config", *heavier).stdout
    assert commands.count("--preference resources/digits/preference.safetensors ") == 4
    planned = checkout.planned("--config", *dial, "preference={fit: {updates: 7}}")
    assert (planned["preference"], planned["train"], planned["sample"]) == (1, 4, 4)
    # A policy may be asked for without a row of its own.
    policy = "results/digits_sit_t4/policy/faithful_seed0.safetensors"
    assert checkout.planned(policy, "--config", "dial={weight: 3.0}") == {"train": 1}


@pytest.mark.slow
def test_samples_are_made_by_as_many_jobs_as_asked_for(checkout) -> None:
    samples, jobs = "results/digits_sit_t4/samples/handmade", "evaluation={jobs: 3}"
    checkout.snakemake(samples, "--config", jobs)
    assert (checkout.folder / samples / "about.json").exists()
    assert not [path for path in checkout.files() if "parts" in path.parts]  # joined, and gone
    assert checkout.planned(samples, "--config", jobs) == {}
    planned = checkout.planned(samples, "--config", "evaluation={jobs: 3, samples: 4000}")
    assert planned == {"sample_part": 3, "sample": 1}


def test_nothing_is_planned_in_the_home_folder(checkout, monkeypatch) -> None:
    """Which may not be writable, in a container for one."""
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert checkout.planned("results/tables/fid.csv")["table_fid"] == 1


def test_rivals_share_the_generators_and_are_no_part_of_all(checkout) -> None:
    options = ("--configfile", "config/smoke.yaml", "--config")
    rivals = (
        "rivals={2M: {experiments: [digits_dit_t4, digits_sit_t4], methods: [logsnr_time, tuned], "
        "solver: 2m}, sure: {experiments: [digits_maskgit_t4], methods: [tuned], tunes: [bound], "
        "unmasking: entropy}}"
    )
    assert "table_rivals" not in checkout.planned(*options, rivals)
    methods = "methods=[handmade, tuned]"
    assert checkout.planned("rivals", *options, methods, rivals) == {
        "pretrain": 3,
        "metric_networks": 1,
        "reference": 1,
        "sweep": 3 + 3,
        "sample": 3 * 2 + 2 * 2 + 1,
        "evaluate": 3,
        "evaluate_rivals_logsnr_time_tuned": 2,
        "evaluate_rivals_tuned": 1,
        "table_rivals": 1,
        "figure_rivals": 1,
        "rivals": 1,
    }


def test_prices_share_the_generator_and_are_part_of_all(checkout) -> None:
    options = ("--configfile", "config/smoke.yaml", "--config", "methods=[handmade]")
    curves = (
        "curves={fidelity: null, guidance: null, stopping: {digits_sit_t4: {prices: [0.1, 1]}}}"
    )
    assert checkout.planned("stopping", *options, curves) == {
        "pretrain": 1,
        "metric_networks": 1,
        "reward_features": 1,
        "reference": 1,
        "train": 2,
        "sample": 2 + 1,
        "evaluate": 1,
        "evaluate_stopping": 2,
        "table_stopping": 1,
        "figure_stopping": 1,
        "stopping": 1,
    }
    assert checkout.planned(*options, curves)["table_stopping"] == 1


def test_generator_seeds_repeat_everything_on_generators_of_their_own(checkout) -> None:
    """Twice the runs of the default configuration; refinements stay as they are."""
    methods = ("methods=[handmade, tuned, adagen]", "generator_seeds=[0, 4]")
    one, two = (
        checkout.planned("--config", *keys, WITHOUT_CURVES) for keys in (methods[:1], methods)
    )
    twice = {"pretrain": 4, "train": 4, "sweep": 4, "sample": 3 * 4, "evaluate": 4}
    assert two == {rule: count + twice.get(rule, 0) for rule, count in one.items()}
    plan = checkout.snakemake(
        "--dry-run", "--printshellcmds", "results/tables/comparisons.csv", "--config", *methods
    ).stdout
    assert plan.count("adagen pretrain sit-seed-4 ") == 1
    assert plan.count("resources/digits/generators/sit-seed-4.safetensors") >= 4
    assert "results/digits_var_t4-seed-4/metrics/adagen_seed0.json" in plan
