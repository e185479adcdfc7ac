"""The page of figures shows the newest ones that are kept."""

from benchmarks import page
from benchmarks.figures import Figure, read_figures, write_figures
from benchmarks.timing import Spread


def figure(family="", aim="", values=(1.0, 1.5), name="rollout"):
    return Figure.of("sampling", name, spread=Spread.of(list(values)), family=family, aim=aim)


def test_the_page_is_in_step_with_the_figures():
    text = page.PAGE.read_text()
    assert text == page.with_tables(text), "run `python -m benchmarks.page`"


def test_figures_are_read_as_they_were_written(tmp_path):
    figures = [figure("var", "<= 1.15"), figure("dit", values=[0.5])]
    write_figures(tmp_path / "figures.csv", figures)
    assert read_figures(tmp_path / "figures.csv") == figures


def test_a_table_has_a_column_for_each_family_and_the_aims_that_differ():
    every = [figure("maskgit", "<= 1.02"), figure("var", "<= 1.15"), figure("dit", "<= 1.02")]
    lines = list(page.table(every))
    assert lines[0] == "| figure | at | MaskGIT | VAR | DiT | aim |"
    shown = "1.25 [1.12, 1.38]"
    assert lines[2] == f"| rollout |  | {shown} | {shown} | {shown} | ≤ 1.02, VAR ≤ 1.15 |"


def test_a_number_without_rounds_stands_alone():
    assert list(page.table([figure(values=[0.25])]))[2] == "| rollout |  | 0.25 |"
