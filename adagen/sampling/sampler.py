"""The sampler: a generator under a policy, which makes images.

    sampler = Sampler(generator, policy)
    samples = sampler(labels=3, n=16, seed=0)
    samples.save("grid.png")

Sample i of a seed is the same image whatever the batch size, up to rounding (4e-7): it draws from
noise of its own. It is also the image that `adagen sample` makes for this seed, index and class.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from adagen.config import PolicyNetworkSize
from adagen.generators.base import Generator
from adagen.generators.stopping import without_stops
from adagen.policy.files import PolicyFile, save_policy
from adagen.policy.networks import Blend, HandMade, Policy, for_calls
from adagen.policy.pretrained import PretrainedPolicy, pretrained
from adagen.policy.tables import require_fitting_table
from adagen.rewards.base import Reward
from adagen.runtime.allocator import keep_freed_memory
from adagen.runtime.arguments import require_count, require_path, require_texts
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.runtime.outputs import Given, Output, check_outputs
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import hidden_progress
from adagen.runtime.progress import progress as progress_bar
from adagen.sampling.blending import require_blendable
from adagen.sampling.generated import GeneratedSamples
from adagen.sampling.labels import Labels, requested_labels
from adagen.sampling.refinement import LookAhead, Score, choosing, without_look_ahead
from adagen.sampling.rollout import BatchSampler, Generated, sample_once
from adagen.sampling.scores import ScoreFunction, as_score, require_promptable
from adagen.sampling.summary import summary

if TYPE_CHECKING:
    import pandas as pd

REPORT = "report"
"""Purpose of the noise of all samples that are shown or measured."""


@dataclass(frozen=True, eq=False)
class Sampler:
    """A frozen generator under a policy.

    Attributes:
        generator: the generator, which may look ahead.
        policy: its schedule, on the generator's device.
        batch: images made at once; changes memory and speed, and no image beyond rounding (4e-7).
        batch_sampler: makes a batch: one rollout, or the best of several.
        candidates: whole samples that are made of each one that is kept.
        policy_file: content of the policy's file, with its value network; None without one.
        generator_file: the file that the generator was read from; None for one without.
        log: the training log, one row an update, of a sampler that was just trained.

    Raises:
        AdagenError: the policy is a table of another size than the generator's calls and actions.
    """

    generator: Generator[Any]
    policy: Policy
    _: KW_ONLY
    batch: int = 64
    batch_sampler: BatchSampler = sample_once
    candidates: int = 1
    policy_file: PolicyFile | None = None
    generator_file: Path | None = None
    log: "pd.DataFrame | None" = None

    def __post_init__(self) -> None:
        require_fitting_table(self.policy, self.generator.actions)
        if self.generator.device.type == "cpu":
            keep_freed_memory()

    def __repr__(self) -> str:
        return summary(self)

    def __call__(
        self,
        labels: Labels = None,
        *,
        prompts: Sequence[str] | None = None,
        n: int | None = None,
        seed: int = 0,
        progress: bool = True,
    ) -> GeneratedSamples:
        """Samples 0 .. n-1 of a seed.

        Args:
            labels: one class for all, or a class for each; None goes round classes or captions.
            prompts: texts in place of labels, which samples take in turn; "" for no condition.
            n: number of samples; by default as many as there are labels, 1 for a single class,
                and one of each class or prompt without any.
            seed: sampling seed. The same seed, index and class give the same image.
            progress: whether a progress bar is shown.

        Raises:
            AdagenError: a label is none of the generator's, `n` is not the number of labels, a
                prompt can't be read, or an image is not finite.
        """
        if prompts is not None:
            texts = require_texts("prompts", prompts)
            made = self.prompted(texts, labels)(n=n, seed=seed, progress=progress)
            return replace(made, prompts=texts)
        classes = requested_labels(labels, n, conditions=self.generator.conditions)
        found: list[Generated] = []
        with (
            nullcontext() if progress else hidden_progress(),
            progress_bar(None, "sampling", total=len(classes)) as bar,
        ):
            for batch in self.batches(classes, seed=seed):
                found.append(batch)
                bar.update(len(batch[0]))
        images, actions = zip(*found, strict=True)
        kinds = self.generator.actions
        return GeneratedSamples(
            images=torch.cat(images),
            labels=classes,
            actions=torch.cat(actions, 1),
            action_names=kinds.names,
            handmade=kinds.handmade.cpu(),
            effective=kinds.effective,
            nfe=self.candidates * self.generator.evaluations(torch.cat(actions, 1)),
        )

    def prompted(self, prompts: Sequence[str], labels: Labels = None) -> Self:
        """The same sampler, whose labels are rows of a list of prompts.

        Raises:
            AdagenError: a prompt can't be read, labels are given, or a reward judges candidates.
        """
        require_promptable(self.batch_sampler, labels)
        table = self.generator.conditions.encoded(prompts)
        return replace(self, generator=self.generator.conditioned(table))

    def batches(
        self,
        labels: torch.Tensor,
        *,
        indices: torch.Tensor | None = None,
        purpose: str = REPORT,
        seed: int = 0,
        processes: Processes = SINGLE_PROCESS,
    ) -> Iterator[Generated]:
        """Yield batches of images and of the actions that made them.

        All are made by the policy as it is when the first one is.

        Args:
            labels: (n,) int64 classes.
            indices: (n,) int64 which samples of the seed to make; by default 0 .. n-1.
            purpose: "report", "search", "polish" or "validate"; different ones never share noise.
            seed: sampling seed within the purpose.
            processes: make the batches in turn, and all see all of them.

        Yields:
            Images (b, C, H, W) in [0, 1] and actions (T, b, K), NaN after a stop, on the CPU.

        Raises:
            AdagenError: a label is none of the generator's classes, the seed is no whole number, or
                an image is not finite.
        """
        indices = torch.arange(len(labels)) if indices is None else indices
        seed = require_count("seed", seed, least=0)
        policy = cache(partial(for_calls, self.policy, self.generator.actions.calls))

        def generate(part: tuple[torch.Tensor, torch.Tensor]) -> Generated:
            rows, classes = part
            noise = SampleNoise(purpose, seed, rows.tolist(), self.generator.device)
            generated = self.batch_sampler(
                self.generator, policy(), labels=classes.to(noise.device), noise=noise
            )
            images, actions = generated[0].cpu(), self.generator.as_made(generated[1].cpu())
            if not torch.isfinite(images).all():
                bad = rows[(~torch.isfinite(images)).flatten(1).any(1)]
                raise AdagenError(
                    f"sample {int(bad[0])} of seed {seed} ({purpose}) is not finite: the generator "
                    "or the policy returned NaN or infinity. Check both files, or train again."
                )
            return images, actions

        parts = zip(indices.split(self.batch), labels.split(self.batch), strict=True)
        return processes.map_in_order(parts, generate)

    def image_batches(
        self, n: int, *, purpose: str, seed: int, processes: Processes = SINGLE_PROCESS
    ) -> Iterator[torch.Tensor]:
        """Yield the images of samples 0 .. n-1, conditions in turn: (b, C, H, W) in [0, 1].

        Search and validation look at each batch once and keep none. Arguments and errors are those
        of `batches`.
        """
        labels = self.generator.conditions.in_turn(n)
        for images, _ in self.batches(labels, purpose=purpose, seed=seed, processes=processes):
            yield images

    @property
    def nfe(self) -> int:
        """Network evaluations of an image that takes all steps, with all of its candidates."""
        return self.candidates * self.generator.nfe

    def handmade(self) -> Self:
        """The hand-made schedule of the same generator: all steps, no candidates or look-ahead."""
        plain = without_stops(without_look_ahead(self.generator))
        policy = HandMade(len(plain.actions.names))
        return type(self)(plain, policy, batch=self.batch, generator_file=self.generator_file)

    def blend(self, other: "Sampler", fidelity: float) -> Self:
        """The dial: raw outputs are (1 - fidelity) this policy's + fidelity the other's.

        The blend has no file, and takes no judge or value network, which belong to one policy.

        Args:
            other: a sampler of the same generator, steps and hand-made schedule.
            fidelity: from 0, this policy alone, to 1, the other one.

        Raises:
            AdagenError: the other sampler is of something else, one of the two chooses among
                candidates, or `fidelity` is not in [0, 1].
        """
        require_blendable(self, other)
        blended = Blend(self.policy, other.policy, fidelity=fidelity)
        return replace(self, policy=blended, policy_file=None, log=None)

    def best_of(
        self,
        n: int,
        score: ScoreFunction | Reward | str | Path,
        *,
        resample: bool = False,
        features: str | Path | None = None,
        preference: str | Path | None = None,
    ) -> Self:
        """Make n candidates of every sample, and keep the one of the highest score.

        Args:
            n: candidates; the first of them is the plain sample.
            score: a function of images (B, C, H, W) in [0, 1] and labels (B,) that returns (B,); a
                reward; or the file of one, written by `adagen train --reward-state` or
                `adagen fit-judges`.
            resample: draw the kept one with probability proportional to exp(score) instead.
            features: with a file, the frozen features that its reward looks through, written by
                `adagen pretrain reward`.
            preference: with the file of a reward of kind `classifier`, the classifier, written by
                `adagen pretrain preference`.

        Raises:
            AdagenError: candidates are chosen among already, or may stop early; `n` or `score` is
                of the wrong kind; or a file is missing or belongs to something else.
        """
        n = require_count("n", n)
        if self.candidates > 1:
            raise AdagenError(
                "this sampler is already the best of several: call `best_of` once, on a plain one."
            )
        if isinstance(score, str | Path):
            from adagen.sampling.judges import RewardFiles
            from adagen.sampling.reward_files import load_score

            files = RewardFiles(
                features=Path(features) if features else None,
                state=Path(score),
                preference=Path(preference) if preference else None,
            )
            judge = load_score(
                files,
                self.policy_file,
                generator_file=self.generator_file,
                conditions=self.generator.conditions,
                batch=self.batch,
                device=self.generator.device,
            )
        else:
            judge = as_score(score)
        return self.with_candidates(n, judge, resample=resample)

    def with_candidates(self, n: int, score: Score, *, resample: bool = False) -> Self:
        """As `best_of`, by a score that also takes the samples' noise, as `Reward.score` does."""
        choose = choosing(self.generator, n, score=score, resample=resample)
        return replace(self, batch_sampler=choose, candidates=n)

    def look_ahead(self, k: int) -> Self:
        """At every step k next states are drawn, and the one of the highest value is kept.

        Raises:
            AdagenError: k is no number of states, the sampler looks ahead already, the policy was
                trained without a value network, or the generator is deterministic.
        """
        k = require_count("k", k)
        if isinstance(self.generator, LookAhead):
            raise AdagenError(
                f"this sampler looks ahead to {self.generator.k} states already: call `look_ahead` "
                "once, on the sampler that `adagen.load` returned."
            )
        critic = self.policy_file.critic if self.policy_file else None
        if critic is None:
            raise AdagenError(
                "look-ahead chooses by the value network of a training, but this sampler's policy "
                "has none: load one that was trained with training.value_coefficient above 0."
            )
        critic = critic.to(self.generator.device)
        return replace(self, generator=LookAhead(self.generator, critic, k=k))

    def save(self, path: str | Path) -> None:
        """Write the policy, with the value network that was trained beside it, for `adagen.load`.

        Raises:
            AdagenError: the policy is a blend, or was not trained, searched or loaded; or the file
                is the generator's, or can't be written.
        """
        path = require_path("path", path, content="the file of the policy to write")
        read = [self.generator_file] if self.generator_file else []
        check_outputs([Output("path", path)], [Given("the generator", file) for file in read])
        if self.policy_file is None or not isinstance(self.policy, nn.Module):
            raise AdagenError(
                f"{path} is not written: only a policy that was trained, searched for or loaded "
                "can be saved. Of a blend save both policies, and blend them again."
            )
        metadata = self.policy_file.metadata
        save_policy(
            path,
            metadata["method"],
            actor=self.policy,
            critic=self.policy_file.critic,
            size=PolicyNetworkSize(**metadata["size"]),
            metadata={key: metadata[key] for key in metadata if key not in ("actor", "size")},
        )

    def pretrained(self, **card: Any) -> PretrainedPolicy:
        """The policy for `save_pretrained`, and for pipelines of diffusers (docs/diffusers.md).

        Args:
            card: content of its model card: base_model, licence, base_licence, data, protocol and
                numbers, as `adagen.policy.card.Card` describes them.

        Raises:
            AdagenError: it was not trained, searched for or loaded, or the card makes no sense.
        """
        plain = without_look_ahead(self.generator)
        return pretrained(plain, self.policy, file=self.policy_file, card=card)
