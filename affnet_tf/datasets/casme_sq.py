"""CAS(ME)²'s workbook: no header, and two more sheets that say how folders are named."""

from __future__ import annotations

from collections.abc import Mapping

from affnet_tf.datasets.sheets import Row, text
from affnet_tf.errors import InputError

__all__ = ["code_rows"]

_COLUMNS = ("participant", "filename", "onset", "apex", "offset", "aus", "emotion", "expression")


def code_rows(sheets: Mapping[str, list[list]], where: str, expression: str) -> list[Row]:
    """The rows of one expression type, with the columns that other datasets' sheets have.

    The first sheet has participant 1..22, ``anger1_1``, onset, apex, offset, AUs, class, ``micro-expression`` or
    ``macro-expression``; the second (naming rule1) leads from the participant to the subject ``s15``; the third (naming
    rule2) from the stimulus ``anger1`` to the code ``0401`` in the raw videos' folder names.

    Args:
        sheets: what ``read_sheets`` returned.
        where: the file, for the error.
        expression: ``micro`` or ``macro``.

    Raises:
        InputError: the workbook is not of this form.
    """
    if len(sheets) < 3:
        form = "must have three sheets: codes, naming rule1 (number, s15, participant), naming rule2 (0401, anger1)"
        raise InputError(f"{where!r} {form}. Received: {', '.join(sheets)}")
    codes, rule1, rule2 = list(sheets.values())[:3]
    subjects = {text(row[2]): text(row[1]) for row in rule1 if len(row) >= 3 and text(row[1]).lower().startswith("s")}
    stimuli = {text(row[1]).lower(): text(row[0]).zfill(4) for row in rule2 if len(row) >= 2 and text(row[1])}
    if not subjects:
        raise InputError(f"{where!r} second sheet must list number, subject (s15), participant. Received: {rule1[:2]}")
    rows = []
    for number, row in enumerate(codes, start=1):
        cells = dict(zip(_COLUMNS, row, strict=False))
        if len(cells) < len(_COLUMNS) or not text(cells["expression"]).lower().startswith(expression):
            continue
        stimulus = text(cells["filename"]).rpartition("_")[0].lower()
        cells["subject"] = subjects.get(text(cells["participant"]), "")
        cells["code"] = stimuli.get(stimulus, "????")
        rows.append(Row(number, cells))
    if not rows:
        rule = f"first sheet must have {len(_COLUMNS)} columns, the last {expression}-expression"
        raise InputError(f"{where!r} {rule}. Received: {[text(cell) for cell in (codes or [[]])[0]]}")
    return rows
