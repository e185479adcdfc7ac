"""The report of checks of a generator."""

from dataclasses import dataclass

OUTCOMES = {True: "passed", False: "FAILED", None: "not checked"}


@dataclass(frozen=True)
class Check:
    """One check of a generator.

    Attributes:
        name: what was looked at.
        passed: None where it could not be looked at.
        found: what was seen, or why nothing was.
    """

    name: str
    passed: bool | None
    found: str


@dataclass(frozen=True)
class GeneratorReport:
    """The checks of a generator, in order; printed, a line each.

    Attributes:
        title: class, calls and actions of the generator.
        checks: the checks.
    """

    title: str
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.passed is False)

    def __getitem__(self, name: str) -> Check:
        return {check.name: check for check in self.checks}[name]

    def __str__(self) -> str:
        lines = [
            f"  {OUTCOMES[check.passed]:11}  {check.name:10}  {check.found}"
            for check in self.checks
        ]
        return "\n".join([self.title, *lines])
