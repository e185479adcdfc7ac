"""The whole configuration of a run."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from adagen.config.ablation import Ablation, Cell, cells, inherited, map_variants
from adagen.config.assets import Assets
from adagen.config.base import FAMILIES, LEARNED, Device, Method, Model
from adagen.config.curves import Budget, Curves, budgets, check_curves
from adagen.config.curves import inherited as inherited_curves
from adagen.config.dataset import Dataset
from adagen.config.dials import with_guidance
from adagen.config.evaluation import Evaluation
from adagen.config.experiments import (
    AnyRewardFeatures,
    Experiment,
    PolicySettings,
    RewardFeatures,
    Training,
)
from adagen.config.feature_checks import check_features, check_preference
from adagen.config.generator_checks import check_derived, check_generators
from adagen.config.generators import Generator
from adagen.config.handmade import check_handmade, with_package_handmade
from adagen.config.method_checks import check_methods
from adagen.config.names import check_names
from adagen.config.overlay import overlay
from adagen.config.prices import priced
from adagen.config.published import require
from adagen.config.refinements import AnyRefinement, check_refinements, refinements_of
from adagen.config.repeats import check_repeats, with_repeats
from adagen.config.rewards import AnyPreference, Dial, Preference
from adagen.config.rivals import Rival, RivalCell, check_rivals, rival_cells
from adagen.config.search import Sweep
from adagen.config.size_checks import check_counts, check_sizes
from adagen.config.values import Different, Name, OutputFolder, Processes, Seeds


class Config(Model):
    """A whole configuration."""

    name: Name
    """Name of the configuration, as reports print it."""
    results: OutputFolder
    """Folder for tables, figures, metrics and policies."""
    resources: OutputFolder
    """Folder for generators, metric networks and reference statistics."""
    device: Device = "cpu"
    """Where networks run; `auto` takes a GPU if there is one. Results on two devices differ in
    their last digits."""
    arithmetic: Literal["native", "portable"] = "native"
    """Code of a CPU: its fastest, or what all x86-64 with AVX2 have, to get the same results."""
    processes: Processes = 1
    """Number of processes of a training, a search, a sampling and an evaluation, on one machine:
    the number of its GPUs. It does not change the images."""
    assets: Assets = Assets()
    """Released files: where they are kept, and files that the catalogue does not have."""
    dataset: Dataset = Dataset()
    """The images."""
    generators: dict[str, Generator]
    """The frozen generators, by name."""
    experiments: dict[str, Experiment]
    """The experiments, by name."""
    methods: Annotated[tuple[Method, ...], Different] = ("handmade", "tuned", "static", "adagen")
    """The methods, which are the rows of the main table."""
    training_seeds: Seeds = (0,)
    """Seeds of the policy training."""
    generator_seeds: Seeds = (0,)
    """Seeds of the generators that are fitted here. The first one stands for generators as their
    sections have them. Every other one repeats each experiment on a generator that is fitted from
    it, tokeniser and all; both have its number in their names, as in `maskgit-seed-1`."""
    policy: PolicySettings = PolicySettings()
    """Policy network of every experiment that does not say otherwise."""
    reward_features: AnyRewardFeatures = Field(default_factory=RewardFeatures)
    """The frozen features by which rewards look at images."""
    preference: AnyPreference = Field(default_factory=Preference)
    """The frozen network that says how well an image shows its class. The method `faithful` and the
    reward `classifier` use it."""
    dial: Dial | None = None
    """Addition to `adagen`'s reward that trains the method `faithful`; without it there is none."""
    training: Training = Training()
    """Training of every experiment that does not say otherwise."""
    sweep: Sweep = Sweep()
    """Search for the schedules of the methods `tuned` and `interval`."""
    evaluation: Evaluation = Evaluation()
    """Settings for measuring samples."""
    refinements: dict[str, AnyRefinement] = Field(default_factory=dict)
    """Ways to choose among candidates in sampling, by name. Each is applied to the method `adagen`,
    in the experiments that it names, or else in all whose generator allows it."""
    curves: Curves = Curves()
    """Settings that are varied, each in a table and a figure."""
    rivals: dict[str, Rival] = Field(default_factory=dict)
    """Other published ways to sample, by name, which are compared in a table of their own."""
    ablation: Ablation | None = None
    """Studies of what design choices contribute, in one experiment. Without this section there
    is no such table."""

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        """Lay experiments over top-level defaults, and variants and curves over experiments."""
        if not isinstance(data, Mapping) or not isinstance(data.get("experiments"), Mapping):
            return data
        check_handmade(data)
        data = with_repeats(data)
        shared = {key: data.get(key, {}) for key in ("training", "policy")}
        experiments = {
            name: {
                **experiment,
                **overlay(shared, {key: experiment.get(key, {}) for key in shared}),
            }
            if isinstance(experiment, Mapping)
            else experiment
            for name, experiment in data["experiments"].items()
        }
        ablation = inherited(data.get("ablation"), experiments)
        curves = inherited_curves(data.get("curves", {}), experiments, sweep=data.get("sweep", {}))
        generators = data.get("generators")
        experiments = {
            name: with_package_handmade(experiment, generators)
            for name, experiment in experiments.items()
        }
        ablation = map_variants(
            ablation, lambda variant: with_package_handmade(variant, generators)
        )
        return {**data, "experiments": experiments, "ablation": ablation, "curves": curves}

    @property
    def cells(self) -> list[Cell]:
        """The cells of the ablation's studies, in the order of its table."""
        if self.ablation is None:
            return []
        return cells(self.ablation, self.experiments[self.ablation.experiment])

    @property
    def rival_cells(self) -> list[RivalCell]:
        """The rivals in each of their experiments, in the order of their section."""
        return [*rival_cells(self.rivals, self.experiments)]

    @property
    def budgets(self) -> list[Budget]:
        """The numbers of steps of the steps curves, each with those of its methods that exist."""
        found = []
        for budget in budgets(self.curves, self.experiments):
            name = budget.name if budget.name in self.experiments else budget.base
            methods = tuple(m for m in self.methods_of(name) if m in budget.methods)
            found.append(replace(budget, methods=methods))
        return found

    @property
    def every_experiment(self) -> dict[str, Experiment]:
        """The experiments by name, and those that ablation, curves and rivals derive from them."""
        return {**{name: derived for _, name, derived in self._derived}, **self.experiments}

    @property
    def _derived(self) -> list[tuple[str, str, Experiment]]:
        """Key, name and settings of the experiments that ablation, curves and rivals derive."""
        derived = [(cell.key, cell.name, cell.experiment) for cell in self.cells]
        derived += [(f"rivals.{r.rival}", r.name, r.experiment) for r in self.rival_cells]
        for budget in budgets(self.curves, self.experiments):
            derived.append((f"curves.steps.{budget.base}", budget.name, budget.experiment))
        for at in priced(self.curves.stopping, self.experiments):
            derived.append((f"curves.stopping.{at.base}", at.name, at.experiment))
        for base in self.experiments:
            for name, experiment in self.guidance_of(base).values():
                derived.append(("curves.guidance", name, experiment))
        return derived

    def methods_of(self, name: str) -> tuple[Method, ...]:
        """The methods of an experiment, in the order of `methods`.

        These are the ones that its family has; `released` only if it names a released policy.
        """
        experiment = self.experiments[name]
        paradigm = self.generators[experiment.generator].paradigm
        return tuple(
            method
            for method in self.methods
            if paradigm in FAMILIES.get(method, (paradigm,))
            and (method != "released" or experiment.released_policy)
        )

    def refinements_of(self, experiment: str) -> list[str]:
        """Names of the refinements that are made for an experiment."""
        return refinements_of(
            experiment, self.refinements, experiments=self.experiments, generators=self.generators
        )

    def sweep_of(self, experiment: str) -> Sweep:
        """The search of an experiment; one of a steps curve or a rival may have another."""
        of_curve = experiment in {budget.name for budget in self.budgets} - {*self.experiments}
        sweep = self.curves.sweep if self.curves.sweep and of_curve else self.sweep
        if sweep.table is not None:
            sweep = sweep.within(self.every_experiment[experiment].training.images("adagen"))
        for cell in self.rival_cells:
            if cell.name == experiment and cell.tunes:
                steps, gits = cell.experiment.steps, "gits" in cell.methods
                return sweep.of_actions(cell.tunes, steps=steps, gits=gits)
        return sweep

    def dial_of(self, experiment: str) -> tuple[float, ...]:
        """The points of the dial at which an experiment is sampled; none without a curve."""
        curve = self.curves.fidelity
        drawn = curve and experiment in curve.experiments and "adagen" in self.methods
        return curve.points if curve and drawn else ()

    def guidance_of(self, experiment: str) -> dict[float, tuple[str, Experiment]]:
        """Name and settings of the experiment at each guidance scale of its curve."""
        curve, settings = self.curves.guidance, self.experiments[experiment]
        drawn = curve and experiment in curve.experiments and "handmade" in self.methods
        scales = curve.scales if curve and drawn else ()
        return {scale: with_guidance(experiment, settings, scale=scale) for scale in scales}

    def _places(self) -> Iterator[tuple[str, Experiment]]:
        """Every section that is an experiment, with its key."""
        for name, experiment in self.experiments.items():
            yield f"experiments.{name}", experiment
        for study, variants in (self.ablation.studies if self.ablation else {}).items():
            for label, variant in variants.items():
                yield f"ablation.studies.{study}.{label}", variant
        for budget in budgets(self.curves, self.experiments):
            if budget.name not in self.experiments:
                yield f"curves.steps.{budget.base}", budget.experiment
        for cell in self.rival_cells:
            yield f"rivals.{cell.rival}", cell.experiment
        for at in priced(self.curves.stopping, self.experiments):
            yield f"curves.stopping.{at.base}", at.experiment

    @model_validator(mode="after")
    def _usable_names(self) -> Self:
        """Names become file names, and arguments of `adagen pretrain`."""
        check_names(
            self.generators, self.experiments, results=self.results, resources=self.resources
        )
        return self

    @model_validator(mode="after")
    def _other_budgets(self) -> Self:
        """The numbers of steps of a curve are possible, and different ones."""
        check_curves(self.curves, self.experiments, generators=self.generators)
        return self

    @model_validator(mode="after")
    def _possible_rivals(self) -> Self:
        """Rivals change what the generators of their experiments have."""
        check_rivals(self.rivals, self.experiments, generators=self.generators, sweep=self.sweep)
        return self

    @model_validator(mode="after")
    def _new_names(self) -> Self:
        """Experiments that ablation, curves and rivals derive have names that are free."""
        check_derived(self._derived, self.every_experiment)
        return self

    @model_validator(mode="after")
    def _enough_samples(self) -> Self:
        """A distance has enough images; otherwise it would fail after hours of training."""
        check_counts(
            self.dataset,
            self.evaluation,
            generators=self.generators,
            sweep=self.sweep,
            of_curve=self.curves.sweep,
            places=self._places(),
        )
        return self

    @model_validator(mode="after")
    def _rewards_that_see(self) -> Self:
        """The frozen features fit the rewards that look at images by them."""
        trained = bool(self.curves.stopping or set(self.methods) & {*LEARNED})
        check_features(
            self.reward_features, self._places(), trained=trained, refinements=self.refinements
        )
        check_preference(
            self.preference,
            self.dataset,
            scored=self.evaluation.clip_score,
            dial=self.dial,
            places=self._places(),
        )
        return self

    @model_validator(mode="after")
    def _dial_of_the_faithful(self) -> Self:
        """The method `faithful` needs the section `dial`."""
        asked = "faithful" in {*self.methods, *(cell.method for cell in self.cells)}
        if self.dial is None and (asked or self.curves.fidelity):
            reason = "methods has 'faithful'" if asked else "curves has `fidelity`"
            raise ValueError(
                f"{reason}, which takes the second policy of the dial: add the section "
                "`dial: {}`, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Experiments take generators that there are, in numbers of steps that these can have."""
        check_generators(self._places(), self.generators)
        check_repeats(self.generator_seeds, self.experiments, generators=self.generators)
        return self

    @model_validator(mode="after")
    def _sizes_that_fit(self) -> Self:
        """Patches, maps, steps and numbers of images fit each other."""
        check_sizes(
            self.dataset,
            self.generators,
            places=self._places(),
            features=self.reward_features,
            evaluation=self.evaluation,
        )
        return self

    @model_validator(mode="after")
    def _published_of_the_same(self) -> Self:
        """Published numbers are of the same data set and number of steps as the experiment."""
        for name, experiment in self.experiments.items():
            if key := experiment.published:
                require(
                    key, f"experiments.{name}", dataset=self.dataset.name, steps=experiment.steps
                )
        return self

    @model_validator(mode="after")
    def _methods_that_fit(self) -> Self:
        """Some experiment has each method, and every variant of the ablation has its own."""
        rows = {
            f"experiments.{name}": (experiment, self.methods_of(name))
            for name, experiment in self.experiments.items()
        }
        check_methods(
            self.methods, rows, cells=self.cells, generators=self.generators, sweep=self.sweep
        )
        return self

    @model_validator(mode="after")
    def _refinements_that_choose(self) -> Self:
        """Candidates of a refinement differ, and its judge can tell them apart."""
        check_refinements(
            self.refinements,
            self.experiments,
            generators=self.generators,
            features=self.reward_features,
            evaluation=self.evaluation,
        )
        return self
