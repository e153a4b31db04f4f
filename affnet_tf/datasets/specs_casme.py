"""The CASME family of the Institute of Psychology, Chinese Academy of Sciences; ``specs`` says how far to trust it."""

from __future__ import annotations

from affnet_tf.datasets.forms import DatasetSpec, Release, Sheet

__all__ = ["CASME", "CASME2", "CASME3", "CASME_SQ", "CASME_SQ_MACRO"]

_AGREEMENT = "research only, signed agreement, no redistribution"
_PSYCH = "signed agreement with the Institute of Psychology, Chinese Academy of Sciences: http://casme.psych.ac.cn"

CASME = DatasetSpec(
    name="casme",
    title="CASME",
    paper="Yan, Wu, Liu, Wang, Fu: CASME database: a dataset of spontaneous micro-expressions collected from "
    "neutralized faces. FG 2013",
    doi="10.1109/FG.2013.6553799",
    obtain=_PSYCH,
    licence=_AGREEMENT,
    fps=60,
    subjects=19,
    clips=189,
    sheet=Sheet(
        files=("CASME*.xlsx", "casme*.xlsx", "*.xlsx"),
        columns={
            "subject": ("Subject",),
            "filename": ("Filename",),
            "onset": ("OnsetF", "OnsetFrame"),
            "apex": ("ApexF1", "ApexF", "ApexFrame"),
            "offset": ("OffsetF", "OffsetFrame"),
            "aus": ("AU", "Action Units"),
            "emotion": ("Emotion", "Estimated Emotion"),
        },
    ),
    releases=(
        Release("cropped", ("Cropped", "cropped"), "sub*", ("sub{number:02d}/{filename}",),
                "Cropped/sub01/EP01_5/reg_EP01_5-113.jpg"),
        Release("raw", ("CASME_raw_selected", "CASME_RAW_selected"), "sub*", ("sub{number:02d}/{filename}",),
                "CASME_raw_selected/sub01/EP01_5/EP01_5-113.jpg"),
    ),
    notes=(
        "The paper counts 195 clips, copies of the sheet have 189 rows.",
        "A handful of rows have frame numbers that are off; the known ones are in corrections/casme.csv.",
    ),
    unconfirmed=(
        "the workbook's file name",
        "the clips of the corrected rows: the source names them by row only, so they are corrected only where the "
        "sheet's numbers do not fit the frames on disk and the corrected ones do",
    ),
)  # fmt: skip

CASME2 = DatasetSpec(
    name="casme2",
    title="CASME II",
    paper="Yan, Li, Wang, Zhao, Liu, Chen, Fu: CASME II: an improved spontaneous micro-expression database and the "
    "baseline evaluation. PLoS ONE 9(1), 2014",
    doi="10.1371/journal.pone.0086041",
    obtain=_PSYCH,
    licence=_AGREEMENT,
    fps=200,
    subjects=26,
    clips=255,
    counts={"others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25, "sadness": 7, "fear": 2},
    sheet=Sheet(
        files=("CASME2-coding-20140508.xlsx", "CASME2-coding-*.xlsx", "*/CASME2-coding-20140508.xlsx", "CASME2*.xlsx"),
        columns={
            "subject": ("Subject",),
            "filename": ("Filename", "File name"),
            "onset": ("OnsetFrame", "Onset"),
            "apex": ("ApexFrame", "Apex"),
            "offset": ("OffsetFrame", "Offset"),
            "aus": ("Action Units", "AU"),
            "emotion": ("Estimated Emotion", "Emotion"),
        },
    ),
    releases=(
        Release("cropped", ("Cropped", "cropped", "Cropped/Cropped", "CASME2_preprocessed*/Cropped"), "sub*",
                ("sub{number:02d}/{filename}",), "Cropped/sub01/EP02_01f/reg_img46.jpg"),
        Release("raw", ("CASME2_RAW_selected", "CASME2-RAW", "CASME2_RAW_selected/CASME2_RAW_selected"), "sub*",
                ("sub{number:02d}/{filename}",), "CASME2_RAW_selected/sub01/EP02_01f/img46.jpg"),
    ),
    notes=(
        "The paper counts 247 clips, the released sheet has 255 rows.",
        "A later edition of the sheet (20190701) relabels a few clips; where both lie side by side, 20140508 is read, "
        "because published results rest on it.",
        "The apex of sub04/EP12_01f is '/': that clip has no apex.",
    ),
)  # fmt: skip

CASME_SQ = DatasetSpec(
    name="casme_sq",
    title="CAS(ME)² micro-expressions",
    paper="Qu, Wang, Yan, Li, Wu, Fu: CAS(ME)²: a database for spontaneous macro-expression and micro-expression "
    "spotting and recognition. IEEE Transactions on Affective Computing, 2018",
    doi="10.1109/TAFFC.2017.2654440",
    obtain=_PSYCH,
    licence=_AGREEMENT,
    fps=30,
    subjects=22,
    clips=57,
    counts={"negative": 21, "others": 19, "surprise": 9, "positive": 8},
    sheet=Sheet(
        files=("CAS(ME)^2code_final.xlsx", "CAS(ME)^2code_final*.xlsx", "*code_final*.xlsx"),
        columns={},
        header_row=0,
        apex_bounds=True,
    ),
    releases=(
        Release("cropped", ("cropped",), "[0-9]*", ("{number}/{filename}",), "cropped/15/anger1_1/img557.jpg"),
        Release("raw", ("selectedpic",), "s[0-9]*", ("{raw}/{filename}",), "selectedpic/s15/anger1_1/img557.jpg"),
        Release("raw", ("rawpic",), "s[0-9]*", ("{raw}/{number}_{code}*",),
                "rawpic/s15/15_0401girlcrashing/img001.jpg"),
    ),
    subject="s{number}",
    notes=(
        "The workbook has no header; two more sheets give the folder names. Some frames are named .jpg.jpg.",
        "The cropped release lacks some clips; the raw one has them.",
        "Subjects s15 to s26 are CASME II's 15 to 26: every protocol takes them for the same persons.",
    ),
)  # fmt: skip

CASME_SQ_MACRO = DatasetSpec(
    name="casme_sq_macro",
    title="CAS(ME)² macro-expressions",
    paper=CASME_SQ.paper,
    doi=CASME_SQ.doi,
    obtain=CASME_SQ.obtain,
    licence=CASME_SQ.licence,
    fps=CASME_SQ.fps,
    subjects=CASME_SQ.subjects,
    clips=300,
    sheet=CASME_SQ.sheet,
    releases=CASME_SQ.releases,
    subject=CASME_SQ.subject,
    notes=("The same folder as casme_sq.", "44 rows have offset 0: there the apex ends the clip.", *CASME_SQ.notes[:2]),
)

CASME3 = DatasetSpec(
    name="casme3",
    title="CAS(ME)³ part A micro-expressions",
    paper="Li, Dong, Lu, Wang, Yan, Ma, Liu, Huang, Fu: CAS(ME)³: a third generation facial spontaneous "
    "micro-expression database with depth information and high ecological validity. IEEE TPAMI, 2022",
    doi="10.1109/TPAMI.2022.3174895",
    obtain=f"{_PSYCH}/casme/e4",
    licence=_AGREEMENT,
    fps=30,
    subjects=94,
    clips=860,
    sheet=Sheet(
        files=("cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", "*/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
               "*part_A_ME_label*.xlsx", "*/*part_A_ME_label*.xlsx", "*/*/*part_A_ME_label*.xlsx"),
        sheet="label",
        columns={
            "subject": ("Subject",),
            "filename": ("Filename",),
            "onset": ("Onset",),
            "apex": ("Apex",),
            "offset": ("Offset",),
            "aus": ("AU", "Action Units"),
            "emotion": ("emotion",),
        },
        loose_apex=True,
    ),
    releases=(
        Release("raw", ("part_A", "part_A/data/part_A", "part_A/data"), "sp[Nn][Oo]*",
                ("{raw}/{filename}/color",), "part_A/spNO.1/a/color/355.jpg"),
        Release("raw", ("Part_A_ME_clip/frame", "*/Part_A_ME_clip/frame", "frame"), "sp[Nn][Oo]*",
                ("{raw}_{filename}_{onset}",), "Part_A_ME_clip/frame/spNO.1_a_355/355.jpg"),
    ),
    subject="{raw}",
    clip_id="{subject}/{filename}_{onset}",
    notes=("The sheet's numbers are text. A file name covers several expressions: the onset is part of the clip's id.",
           "Some apexes lie outside their clips: they are set aside. Folder names may differ in letter case.",
           "The paper counts 943 micro-expressions in part A, the released sheet has 860 rows."),
    unconfirmed=("which of the two folder layouts a given copy has: both are read",
                 "the corrections rest on one public reader and name rows only",
                 "the paper's count of part A"),
)  # fmt: skip
