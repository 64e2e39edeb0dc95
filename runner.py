"""The command line: `bench run`, `report`, `validate`, `list` and the rest. The only place where the wings meet.

Does no arithmetic. Each command imports what it needs inside its body, so that `--help`, `list` and `validate` start
without torch and without pandas.
"""

import sys
from pathlib import Path

import click

import bench as package
from bench.commands import ending
from bench.commands.options import (
    DEFAULT_STORE,
    SIZE,
    TIME,
    Bench,
    baseline_option,
    json_option,
    store_option,
    suite_argument,
    suites_argument,
    wishing,
)
from bench.commands.wish import PredictWish, RunWish
from bench.errors import UsageError

LISTED = ["suites", "models", "datasets", "measures", "evaluations", "metrics", "claims", "runs", "machines"]


@click.group(cls=Bench, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package.__version__, prog_name="bench")
def bench() -> None:
    """Says for each number a paper on small vision models prints whether it holds, here, now."""


@bench.command()
@suites_argument(required=True)
@click.option("--profile", metavar="NAME", help="How much to measure: quick or paper.  [default: the suite's]")
@click.option(
    "--only", multiple=True, metavar="GLOB", help="Only cases with such a name, e.g. 'static*'. May be repeated."
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out cases with such a name. May be repeated.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all cores]")
@click.option("--seeds", type=click.IntRange(1), metavar="N", help="Train each model with seeds 0 to N-1.")
@click.option(
    "--data", envvar="BENCH_DATA", type=click.Path(path_type=Path), metavar="DIR", help="Folder with the data sets."
)
@store_option
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--force", is_flag=True, help="Measure finished cases again.")
@click.option("--until", type=click.Choice(["decided"]), help="Go on seed by seed for the claims that are open alone.")
@click.option("--strict", is_flag=True, help="Exit 4 when nothing could be judged.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Cases side by side, clocks alone.")
@click.option(
    "--time-limit",
    "time_limit_s",
    type=TIME,
    metavar="30m",
    help="End a case after this long.  [default: 20 x expected]",
)
@click.option(
    "--memory-limit",
    "memory_limit_bytes",
    type=SIZE,
    metavar="8GiB",
    help="End a case that takes more.  [default: all]",
)
@click.option(
    "--machine-name", metavar="NAME", help="What you call this machine.  [default: $BENCH_MACHINE_NAME, or none]"
)
@click.option(
    "--on", metavar="ray", help="Measure on a Ray cluster: ray (RAY_ADDRESS, or one started here), ray://HOST:PORT."
)
@click.option("--in-process", is_flag=True, help="Measure in this process, for a debugger: no limits, no --jobs.")
@wishing(RunWish)
def run(wish: RunWish) -> None:
    """Measure what the suites claim, each case in a process of its own; finished cases are skipped."""
    from bench.commands import loading
    from bench.commands import run as of_run
    from bench.machine import let_threads_sleep

    let_threads_sleep()
    loaded = loading.load(wish.suites)
    complete, here = of_run.measured(loaded, wish)
    if wish.dry_run:
        return
    rows, environments = of_run.rows_of(wish.store)
    today, places = loading.today(loaded, wish.store), loading.places(wish.store, DEFAULT_STORE, wish.data)
    verdicts = of_run.judged(loaded, rows, today, places, here)
    shown = of_run.shown(loaded, rows, today)
    of_run.summarise(loading.claiming(loaded), verdicts, shown, environments, places)
    raise SystemExit(of_run.exit_code(verdicts, wish.strict) if complete else ending.BROKE)


@bench.command()
@suites_argument(required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "md", "json", "csv", "junit", "badge", "github"]),
    default="html",
    show_default=True,
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File to write.  [default: reports/…; '-' prints]",
)
@store_option
@click.option("--strict", is_flag=True, help="Exit 1 when a claim is contradicted, 4 when nothing could be judged.")
def report(suites: tuple[Path, ...], form: str, output: Path | None, store: str, strict: bool) -> None:
    """Draw the report from the store: published, measured, interval and verdict side by side."""
    from bench import report as drawing
    from bench.commands import loading
    from bench.commands import run as of_run

    loaded = loading.claiming(loading.load(suites)) if suites else loading.suites_with_rows(store)
    rows, environments = of_run.rows_of(store)
    today, places = loading.today(loaded, store), loading.places(store, DEFAULT_STORE)
    verdicts = of_run.judged(loaded, rows, today, places)
    rows = of_run.shown(loaded, rows, today)
    path = drawing.write(loaded, verdicts, rows, environments, form=form, output=output, places=places)
    if path is not None:
        click.echo(f"report: {path}", err=True)
    raise SystemExit(of_run.exit_code(verdicts, strict=True) if strict else 0)


@bench.command()
@click.argument("what", nargs=-1, required=True, metavar="MODEL|SUITE…")
@click.option("--device", "devices", metavar="NAMES", help="Such as t4,a100 or avx2:8 or here.  [default: here,t4]")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Images of a step.")
@click.option("--image-size", type=click.IntRange(1), metavar="PIXELS", help="Of a side.  [default: 224, the suite's]")
@click.option("--classes", type=click.IntRange(1), metavar="N", help="Outputs.  [default: 1000, the suite's]")
@click.option("--arg", "arguments", multiple=True, metavar="KEY=VALUE", help="An argument of the model.")
@click.option("--precision", type=click.Choice(["float32", "tensorfloat32", "amp", "bfloat16", "float16"]))
@click.option("--layout", type=click.Choice(["contiguous", "channels_last"]), default="contiguous", show_default=True)
@click.option("--compiled", is_flag=True, help="As torch.compile would leave it.")
@click.option("--launch-us", type=click.FloatRange(0), metavar="N", help="What the host takes to start an operator.")
@click.option("--train", "epochs", type=click.IntRange(1), metavar="EPOCHS", help="Predict a training.")
@click.option("--images", type=click.IntRange(1), metavar="N", help="Training images of an epoch.")
@click.option("--test-images", type=click.IntRange(0), default=0, metavar="N", help="Evaluated after each epoch.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="That prepare images.")
@click.option("--image-ms", type=click.FloatRange(0), metavar="N", help="What a worker takes for a training image.")
@json_option
@wishing(PredictWish)
def predict(wish: PredictWish) -> None:
    """Say how long a model takes on hardware that is not here, what it costs, and how much memory it needs."""
    from bench.commands import predict as of_predict
    from bench.commands import terminal

    terminal.table(of_predict.rows(wish), wish.as_json)


@bench.command()
@suites_argument(required=True)
@json_option
def validate(suites: tuple[Path, ...], as_json: bool) -> None:
    """Check suites without running them; every problem is reported at once."""
    from bench.commands import loading
    from bench.commands.terminal import table

    rows = [
        {
            "suite": each.suite.id,
            "file": str(each.path),
            "claims": len(each.suite.claims),
            "models": len(each.suite.models),
        }
        for each in loading.load(suites)
    ]
    table(rows, as_json)


@bench.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def new(folder: Path) -> None:
    """Write a suite and a model file that run as they stand, every table explained, into FOLDER."""
    from bench.commands import new as of_new

    for path in of_new.write(folder):
        click.echo(path)


@bench.command()
def schema() -> None:
    """Print the JSON Schema of suite files, for editors."""
    import json

    from bench.suite.schema import Suite

    click.echo(json.dumps(Suite.model_json_schema(), indent=2, ensure_ascii=False))


@bench.command(name="list")
@click.argument(
    "what",
    type=click.Choice(
        ["suites", "models", "datasets", "measures", "evaluations", "metrics", "claims", "runs", "machines"]
    ),
)
@suites_argument(required=False)
@store_option
@json_option
def list_(what: str, suites: tuple[Path, ...], store: str, as_json: bool) -> None:
    """List suites, models, data sets, measures, evaluations, metrics, claims, runs or machines."""
    from bench.commands import listing, loading, terminal

    if what in ("runs", "machines"):
        from bench.store import Store

        found = Store(store).runs() if what == "runs" else Store(store).machines()
        terminal.table(found.to_dict("records"), as_json)
        return
    asked = suites or (loading.known_suites() if what in ("suites", "claims") else [])
    loaded = loading.load(asked)  # what a suite's plug-ins bring is listed too, read and not run
    terminal.table(listing.ROWS[what](loaded), as_json)


@bench.command()
@click.argument("run_id")
@store_option
@json_option
def show(run_id: str, store: str, as_json: bool) -> None:
    """Show one run: its environment and its rows. RUN_ID may be its beginning, or 'last'."""
    from bench.commands import terminal
    from bench.store import Store

    environment, rows = Store(store).run(run_id)
    if not as_json:
        terminal.table([{"key": key, "value": value} for key, value in environment.items()], as_json=False)
    terminal.table(rows.to_dict("records") if as_json else rows[SHOWN].to_dict("records"), as_json)


@bench.command()
@click.argument("first", metavar="RUN_A")
@click.argument("second", metavar="RUN_B")
@click.option("--sort", type=click.Choice(["name", "metric", "change", "word"]), help="Order.  [default: of RUN_A]")
@click.option("--only-changed", is_flag=True, help="Leave out what is equal or shows no change.")
@store_option
@json_option
def compare(first: str, second: str, sort: str | None, only_changed: bool, store: str, as_json: bool) -> None:
    """Compare two runs, metric by metric. A RUN may be its beginning, or 'last'. No gate: `bench check` is."""
    from bench.ci.as_json import dumps
    from bench.commands import terminal
    from bench.store import Store
    from bench.verdicts.between_runs import compare as between
    from bench.verdicts.between_runs import tables

    opened = Store(store)
    found = between.compare(opened.run(first), opened.run(second), sort=sort, only_changed=only_changed)
    if as_json:
        click.echo(dumps(tables.as_mapping(found)), nl=False)
        return
    terminal.tables([make(found) for make in tables.ALL])
    click.echo("\n".join(found.notes), err=True)


@bench.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--suite", help="Only rows of this suite.")
@click.option("--run", "run_id", help="Only rows of this run.")
@store_option
def export(folder: Path, suite: str | None, run_id: str | None, store: str) -> None:
    """Write rows and environments as CSV that git can hold; `--store FOLDER` reads them back."""
    from bench.store import Store

    chosen = {key: value for key, value in {"suite": suite, "run_id": run_id}.items() if value}
    for path in Store(store).export(folder, chosen or None):
        click.echo(path)


@bench.command(name="import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@store_option
def import_(source: Path, store: str) -> None:
    """Add the rows of an export, such as another machine's, that are not in the store yet."""
    from functools import partial

    from bench.plan.past import fingerprint_at
    from bench.store import Store

    recall = partial(fingerprint_at, Path(package.__file__).parents[1])
    click.echo(f"{Store(store).import_(source, recall)} rows added to {store}", err=True)


SHOWN = ["model", "dataset", "seed", "epoch", "batch_size", "metric", "part", "repeat", "value", "unit", "status"]


@bench.command()
@click.option(
    "--data", envvar="BENCH_DATA", type=click.Path(path_type=Path), metavar="DIR", help="Folder with the data sets."
)
@click.option("--quick", is_flag=True, help="Leave out the 12 seconds that time pairs of equal processes.")
@click.option("--calibrate", is_flag=True, help="Also measure what predictions for this machine need: 20 seconds.")
@json_option
def doctor(data: Path | None, quick: bool, calibrate: bool, as_json: bool) -> None:
    """Say what this machine can measure, and what will make it noisy."""
    from dataclasses import asdict

    from bench.commands import check as of_check
    from bench.commands.terminal import table
    from bench.machine import let_threads_sleep

    let_threads_sleep()  # as `run` does, so that what is said is what a run will meet
    from bench.execution.doctor import findings

    found = [*findings(data), *([] if quick else [of_check.noise()])]
    if calibrate:
        from bench.commands import predict as of_predict

        found += of_predict.calibrated()
    table([asdict(finding) for finding in found], as_json)


@bench.command()
@suite_argument
@baseline_option
@click.option("--only", multiple=True, metavar="GLOB", help="Only guards with such a key, e.g. 'mixer*'.")
@click.option("--static-only", is_flag=True, help="Only counts, shapes and types: exact, in seconds.")
@click.option("--throughput", is_flag=True, help="Speed too, which is the default; not with --static-only.")
@click.option("--ref", metavar="COMMIT", help="Compare speed with this commit.  [default: the baseline's]")
@click.option("--ref-python", type=click.Path(path_type=Path), metavar="PATH", help="The baseline side's Python.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--strict", is_flag=True, help="Exit 4 when speed stays undecided.")
@click.option("--seed", type=int, metavar="N", help="Draws the orders within and between rounds.  [default: a new one]")
@json_option
@click.option("--junit", type=click.Path(path_type=Path), metavar="PATH", help="Also write JUnit XML.")
@click.option("--github", is_flag=True, help="Annotations and step summary, as within GitHub Actions.")
@click.option("--benchmark-json", type=click.Path(path_type=Path), metavar="PATH", help="For github-action-benchmark.")
@click.option("--badge", type=click.Path(path_type=Path), metavar="PATH", help="A badge for shields.io.")
@click.option(
    "--self-test",
    type=click.IntRange(1),
    metavar="N",
    help="What a check can see here: N checks of equal code per guard, half as many of slowed code.",
)
@click.option("--inject", type=click.FloatRange(0, 900), default=0.0, metavar="PCT", help="Slow this side down by PCT.")
@click.option("--record", type=click.Path(path_type=Path), metavar="PATH", help="Keep each self-test as a JSON line.")
def check(
    suite: Path, baseline: Path | None, only: tuple[str, ...], static_only: bool, throughput: bool, ref: str | None,
    ref_python: Path | None, device: str, strict: bool, seed: int | None, as_json: bool, junit: Path | None,
    github: bool, benchmark_json: Path | None, badge: Path | None, self_test: int | None, inject: float,
    record: Path | None,
) -> None:  # fmt: skip
    """Check that the guarded models are still what was accepted, and still as fast."""
    from bench.commands import check as of_check
    from bench.gate.wish import CheckWish, SelfTestWish, drawn

    if static_only and throughput:
        raise UsageError("--static-only and --throughput: one leaves speed out, the other asks for it")
    seed = drawn() if seed is None else seed
    wish = CheckWish(baseline, not static_only, device, seed, ref, ref_python, inject)
    if self_test:
        asked = SelfTestWish(self_test, inject, record)
        raise SystemExit(of_check.self_test(suite, only, wish, asked, as_json=as_json))
    files = {"junit": junit, "benchmark_json": benchmark_json, "badge": badge}
    outcomes = of_check.check(suite, only, wish)
    raise SystemExit(of_check.tell(outcomes, strict=strict, as_json=as_json, github=github, files=files))


@bench.group()
def baseline() -> None:
    """Show or move what `bench check` compares with."""


@baseline.command(name="show")
@suite_argument
@baseline_option
@json_option
def show_baseline(suite: Path, baseline: Path | None, as_json: bool) -> None:
    """Show what was accepted, when and why."""
    from bench.commands import baseline as of_baseline

    of_baseline.show_baseline(suite, baseline, as_json)


@baseline.command()
@suite_argument
@baseline_option
@click.option("--reason", required=True, metavar="TEXT", help="Why the baseline moves, for who reviews it.")
@click.option("--model", metavar="NAME", help="Only this guard, which then carries its own commit.")
@click.option(
    "--seen", type=click.Path(path_type=Path), metavar="FILE", help="Note the speeds of this `bench check --json`."
)
def accept(suite: Path, baseline: Path | None, reason: str, model: str | None, seen: Path | None) -> None:
    """Make what is committed here the baseline, and print old and new values. The only way in which it moves."""
    from datetime import UTC, datetime

    from bench.commands import baseline as of_baseline

    of_baseline.accept(suite, baseline, reason, model, seen, today=f"{datetime.now(UTC):%Y-%m-%d}")


if __name__ == "__main__":
    sys.exit(bench())
