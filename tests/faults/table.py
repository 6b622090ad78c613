"""The page of what came of all trials."""

from collections.abc import Mapping
from statistics import median

from tests.faults.verdict import DAMAGES, Verdict, total

HEAD = """# Robustness

Written by `nox -s faults`, which puts faults into the suite on purpose: kills, crashes at chosen file operations,
damaged files, full and forbidden disks, interrupts, several drivers at once, and bad input; by
`nox -s faults -- --kinds cluster_kills cluster_stops cluster_nodes --write docs/robustness.md` also into a cluster of
Ray nodes on one machine. Each number counts trials in which such damage was seen; a trial ends with the same command
without the fault, and its rows, patches and tensors are compared with those of an undisturbed world.

| | |
|---|---|
| lost | something measured or written before is gone, or cannot be brought about any more |
| doubled | a value stands twice, or a run was done twice |
| silent | a number or tensor differs from the undisturbed one, or is missing after exit code 0, without a word |
| traceback | a person was shown one |
| hang | something did not end in its time, or left processes behind |
| unlike | anything else that was promised: the exit code, one sentence, nothing left lying about |
"""


def write_page(page: str, sections: Mapping[str, Mapping[str, Verdict]], *, seed: int, jobs: int, commit: str) -> str:
    """Markdown: a section for each series, with what came of the trials of each of its faults.

    Args:
        page: as it is; sections that are not given stay, and "" is a page without any.
        sections: title -> fault -> what came of its trials.
        seed: that drew the faults.
        jobs: trials at the same time.
        commit: of the code.
    """
    kept = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    done = {title: _section(totals, seed=seed, jobs=jobs, commit=commit) for title, totals in sections.items()}
    titles = dict.fromkeys([*kept, *done])
    return "\n".join([HEAD, *(f"## {title}\n\n{(kept | done)[title].strip()}\n" for title in titles)])


def _section(totals: Mapping[str, Verdict], *, seed: int, jobs: int, commit: str) -> str:
    everything = total(totals.values())
    lines = [
        "| " + " | ".join(("fault", "number", *DAMAGES)) + " |",
        "|---|" + "---:|" * (1 + len(DAMAGES)),
        *(_line(fault, verdict) for fault, verdict in totals.items()),
        _line("all", everything),
    ]
    minutes = everything.took_s / jobs / 60
    timed = [
        f"- {fault}: median {median(verdict.seconds):.2f} s, maximum {max(verdict.seconds):.2f} s until the exit."
        for fault, verdict in totals.items()
        if verdict.seconds
    ]
    damages = [f"- {note}" for verdict in totals.values() for note in verdict.notes[:3]]
    parts = [
        "\n".join(lines),
        f"{everything.trials} trials of seed {seed} in {minutes:.0f} minutes, {jobs} at a time, at commit {commit}.",
    ]
    if timed:
        parts.append("From the first signal to the exit:\n\n" + "\n".join(timed))
    if damages:
        parts.append("What was seen, up to three of each:\n\n" + "\n".join(damages))
    return "\n\n".join(parts)


def _line(fault: str, verdict: Verdict) -> str:
    cells = (fault, verdict.trials, *(getattr(verdict, name) for name in DAMAGES))
    return "| " + " | ".join(map(str, cells)) + " |"
