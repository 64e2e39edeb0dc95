"""What needs no clock is pooled from all machines where conditions allow it; and the conditions in words.

Where they do not allow it, one machine's values stand alone, and it is said why.
"""

from collections.abc import Mapping
from dataclasses import replace

from bench.suite import expression
from bench.verdicts.bands import plural
from bench.verdicts.evidence import Evidence, Missing, Why, collect
from bench.verdicts.ledger import Ledger, Row, is_clocked


def pooled(
    ledger: Ledger, text: str, constants: Mapping[str, float], hardware: str | None, needed: int
) -> Evidence | Missing:
    """The samples of an expression under full profiles: of all machines, or of the one with the most seeds."""
    found = collect(ledger, text, constants, hardware, reduced=False, needed=needed)
    asked = [ledger.suite.quantities[name].metric for name in expression.names(text) if name not in constants]
    if isinstance(found, Evidence) or found.why != Why.CLASH or any(map(is_clocked, asked)):
        return found
    alone = [
        collect(ledger.on(machine, alone=True), text, constants, hardware, reduced=False, needed=needed)
        for machine in (ledger.machines if len(ledger.machines) > 1 else ())
    ]
    most = max((each for each in alone if isinstance(each, Evidence)), key=lambda each: len(each.seeds), default=None)
    if most is None:
        return found
    ours = labels([row for rows in most.rows.values() for row in rows], ledger)
    apart = Missing(Why.CLASH, f"These are the values of {', '.join(ours)} alone, other machines' are {found.reason}")
    return replace(most, lacking=apart)


def labels(rows: list[Row], ledger: Ledger) -> list[str]:
    """What the machines of these rows are called."""
    known = {each.key: each.label for each in ledger.machines}
    return sorted({known.get(row.machine, row.machine) for row in rows if row.machine})


def conditions(ledger: Ledger, evidence: Evidence) -> dict[str, str]:
    """Under which conditions the evidence was taken, as far as there is any."""
    rows = [row for found in evidence.rows.values() for row in found]
    if not rows:
        return {}
    swaps = ledger.suite.profiles[evidence.setting.profile].datasets
    keys = [swaps.get(case.dataset_key, case.dataset_key) for case in evidence.cases if case.dataset_key]
    images = sorted({int(row.n_test) for row in rows if row.n_test})
    data = [ledger.suite.datasets[key].label for key in dict.fromkeys(keys)]
    several = labels([row for row in rows if not is_clocked(row.metric)], ledger)
    found = {
        "device": sorted({row.device_name for row in rows}),
        "machines pooled": several if len(several) > 1 else [],
        "threads": sorted({f"{row.threads:.0f}" for row in rows}),
        "precision": sorted({row.precision for row in rows}),
        "data": data + [plural(n, "test image") for n in images if data],
        "profile": sorted({row.profile for row in rows}),
        "protocol": sorted({f"{row.metric} {row.protocol:.0f}" for row in rows}),
        "seeds": [str(seed) for seed in evidence.seeds],
        "set apart": [f"{evidence.set_apart} rows"] if evidence.set_apart else [],
    }
    return {key: ", ".join(values) for key, values in found.items() if values}
