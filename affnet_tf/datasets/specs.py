"""What is known of each dataset: where it comes from, how it lies on disk, what its sheet says. Data, not code.

Layouts and columns are gathered from the papers, from the owners' pages and from what public readers of these datasets
expect; none of the licensed originals was at hand. What rests on a single source, or on none, is listed as unconfirmed.
"""

from __future__ import annotations

from collections.abc import Mapping

from affnet_tf.datasets.forms import DatasetSpec, Release, Sheet
from affnet_tf.datasets.specs_casme import CASME, CASME2, CASME3, CASME_SQ, CASME_SQ_MACRO
from affnet_tf.errors import unknown

__all__ = ["SPECS", "DatasetSpec", "Release", "Sheet", "spec"]

_AGREEMENT = "research only, signed agreement, no redistribution"
_OULU = "signed agreement with the Center for Machine Vision and Signal Analysis, University of Oulu"
_MANCHESTER = "signed release agreement with Manchester Metropolitan University (M. H. Yap)"

SAMM = DatasetSpec(
    name="samm",
    title="SAMM",
    paper="Davison, Lansley, Costen, Tan, Yap: SAMM: a spontaneous micro-facial movement dataset. IEEE Transactions on "
    "Affective Computing 9(1), 2018",
    doi="10.1109/TAFFC.2016.2573832",
    obtain=_MANCHESTER,
    licence="non-commercial research on micro-movements, signed agreement, no redistribution",
    fps=200,
    subjects=29,
    clips=159,
    counts={
        "anger": 57, "other": 26, "happiness": 26, "surprise": 15, "contempt": 12, "disgust": 9, "fear": 8,
        "sadness": 6,
    },
    sheet=Sheet(
        files=("SAMM_Micro_FACS_Codes_v2.xlsx", "SAMM*Micro_FACS_Codes*.xlsx", "*/SAMM*Micro_FACS_Codes*.xlsx"),
        sheet="MICRO_ONLY",
        header_row=14,
        columns={
            "subject": ("Subject",),
            "filename": ("Filename",),
            "onset": ("Onset Frame", "Onset"),
            "apex": ("Apex Frame", "Apex"),
            "offset": ("Offset Frame", "Offset"),
            "aus": ("Action Units",),
            "emotion": ("Estimated Emotion", "Emotion"),
        },
    ),
    releases=(
        Release("raw", ("SAMM", "SAMM/SAMM", ""), "[0-9][0-9][0-9]", ("{number:03d}/{filename}",),
                "SAMM/006/006_1_2/006_05562.jpg"),
    ),
    subject="{number:03d}",
    notes=("Grey frames of 960 x 650. The paper counts 32 subjects, 29 of them have clips.",
           "The apexes of 028_4_1 and 032_3_1 are unusable: those clips have none."),
)  # fmt: skip

SAMM_LV = DatasetSpec(
    name="samm_lv",
    title="SAMM Long Videos",
    paper="Yap, Kendrick, Yap: SAMM Long Videos: a spontaneous facial micro- and macro-expressions dataset. FG 2020, "
    "arXiv 1911.01519",
    doi="10.48550/arXiv.1911.01519",
    obtain=_MANCHESTER,
    licence=SAMM.licence,
    fps=200,
    subjects=None,
    clips=502,
    counts={"macro": 343, "micro": 159},
    sheet=Sheet(
        files=("SAMM_LongVideos_V*_Release.xlsx", "SAMM_LongVideos*.xlsx"),
        sheet="FACS_Movement_Only",
        header_row=10,
        columns={
            "subject": ("Subject",),
            "filename": ("Filename",),
            "onset": ("Onset", "Onset Frame"),
            "apex": ("Apex", "Apex Frame"),
            "offset": ("Offset", "Offset Frame"),
            "aus": ("Action Units",),
            "emotion": ("Type",),
        },
        apex_bounds=True,
    ),
    releases=(
        Release("raw", ("SAMM_longvideos", "SAMM_longvideos/SAMM_longvideos"), "[0-9][0-9][0-9]_*", ("{video}",),
                "SAMM_longvideos/006_1/006_1_0001.jpg"),
    ),
    subject="{number:03d}",
    clip_id="{subject}/{filename}_{emotion}",
    notes=("147 long videos. The sheet has no emotions: the label is the type, micro or macro.",
           "A missing apex is -1."),
    unconfirmed=("the number of subjects", "whether a file name occurs twice within a type"),
)  # fmt: skip

SMIC_HS = DatasetSpec(
    name="smic_hs",
    title="SMIC-HS",
    paper="Li, Pfister, Huang, Zhao, Pietikäinen: A spontaneous micro-expression database: inducement, collection and "
    "baseline. FG 2013",
    doi="10.1109/FG.2013.6553717",
    obtain=_OULU,
    licence=_AGREEMENT,
    fps=100,
    subjects=16,
    clips=164,
    counts={"negative": 70, "positive": 51, "surprise": 43},
    releases=(
        Release("cropped", ("SMIC_all_cropped/HS",), "s*/micro", ("{subject}/micro/{emotion}/{filename}",),
                "SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/reg_image000123.bmp"),
        Release("raw", ("SMIC_all_raw/HS", "HS", "*/SMIC_all_raw/HS"), "s*/micro",
                ("{subject}/micro/{emotion}/{filename}",), "HS/s1/micro/negative/s1_ne_01/image000123.bmp"),
    ),
    subject="s{number}",
    notes=("There is no sheet: subject and class are in the path; a clip is all the frames of its folder.",
           "No apex is annotated."),
    unconfirmed=("the cropped frames' file names",),
)  # fmt: skip

SMIC_HS_E = DatasetSpec(
    name="smic_hs_e",
    title="SMIC-HS-E (extended)",
    paper="Li, Hong, Moilanen, Huang, Pfister, Zhao, Pietikäinen: Towards reading hidden emotions: a comparative study "
    "of spontaneous micro-expression spotting and recognition methods. IEEE Transactions on Affective Computing, 2018",
    doi="10.1109/TAFFC.2017.2667642",
    obtain=_OULU,
    licence=_AGREEMENT,
    fps=100,
    subjects=16,
    clips=None,
    sheet=Sheet(
        files=("SMIC-HS-E_annotation*.xlsx", "SMIC*HS*E*annotation*.xlsx", "HS_long/**/SMIC-HS-E_annotation*.xlsx"),
        columns={
            "subject": ("Subject",),
            "filename": ("Filename",),
            "onset": ("OnsetF", "Onset1F"),
            "offset": ("OffsetF", "Offset1F"),
            "onset2": ("Onset2F",),
            "offset2": ("Offset2F",),
            "onset3": ("Onset3F",),
            "offset3": ("Offset3F",),
            "emotion": ("Emotion",),
        },
        more=(("onset2", "offset2"), ("onset3", "offset3")),
    ),
    releases=(
        Release("raw", ("SMIC_HS_E", "SMIC-HS-E", "HS_long/SMIC[-_]HS[-_]E", "*/HS_long/SMIC[-_]HS[-_]E"), "s[0-9]*",
                ("s{number:02d}/{filename}",), "SMIC_HS_E/s03/s3_ne_22/image443812.jpg"),
    ),
    subject="s{number}",
    notes=("A row may annotate up to three expressions: the second of s3/s3_ne_22 is s3/s3_ne_22-2.",
           "The folder's subject is padded (s03), the clip's is not (s3_ne_22). Offsets are formulas."),
    unconfirmed=("the number of expressions in the released sheet", "the name of a third expression's columns"),
)  # fmt: skip

MMEW = DatasetSpec(
    name="mmew",
    title="MMEW micro-expressions",
    paper="Ben, Ren, Zhang, Wang, Kpalma, Meng, Liu: Video-based facial micro-expression analysis: a survey of "
    "datasets, features and algorithms. IEEE TPAMI 44(9), 2022",
    doi="10.1109/TPAMI.2021.3067464",
    obtain="signed agreement by e-mail: http://www.dpailab.com/database.html",
    licence=_AGREEMENT,
    fps=90,
    subjects=36,
    clips=300,
    sheet=Sheet(
        files=("MMEW_Micro_Exp*.xlsx", "MMEW_Micro_Exp*.csv", "*/MMEW_Micro_Exp*.xlsx"),
        columns={
            "subject": ("Subject",),
            "filename": ("Filename",),
            "onset": ("OnsetFrame", "Onset"),
            "apex": ("ApexFrame", "Apex"),
            "offset": ("OffsetFrame", "Offset"),
            "aus": ("Action Units", "AUs", "AU"),
            "emotion": ("Estimated Emotion", "Emotion"),
        },
    ),
    releases=(
        Release("cropped", ("Micro_Expression", "*/Micro_Expression"), "*",
                ("{emotion}/{filename}", "*/{filename}", "{subject}/*/{filename}"),
                "Micro_Expression/anger/S13-07-001/1.jpg"),
    ),
    subject="S{number:02d}",
    notes=("Frames of 231 x 231, already cropped. What the sheet calls others is the folder repression.",
           "A few rows have frame numbers that do not fit the frames; the known ones are in corrections/mmew.csv."),
    unconfirmed=("90 fps and 36 subjects rest on one secondary source",
                 "the corrections rest on one public reader and name rows only"),
)  # fmt: skip

FOURDME = DatasetSpec(
    name="4dme",
    title="4DME micro-expressions (grey video)",
    paper="Li, Cheng, Li, Behzad, Shen, Zafeiriou, Pantic, Zhao: 4DME: a spontaneous 4D micro-expression dataset with "
    "multimodalities. IEEE Transactions on Affective Computing, 2022",
    doi="10.1109/TAFFC.2022.3182342",
    obtain=_OULU,
    licence=_AGREEMENT,
    fps=None,
    subjects=None,
    clips=267,
    sheet=Sheet(
        files=("4DME_Labelling_Micro*.xlsx", "4DME*.xlsx"),
        columns={
            "subject": ("sub_ID", "Subject"),
            "filename": ("fold_name", "Filename"),
            "onset": ("Onset",),
            "apex": ("Apex",),
            "offset": ("Offset",),
            "aus": ("AUs", "AU"),
            "emotion": ("Emotion",),
        },
        loose_apex=True,
    ),
    releases=(
        Release("cropped", ("gray_micro_crop",), "*", ("{raw}/{filename}", "{filename}"),
                "gray_micro_crop/<sub_ID>/<fold_name>/"),
        Release("raw", ("gray_micro",), "*", ("{raw}/{filename}", "{filename}"), "gray_micro/<sub_ID>/<fold_name>/"),
    ),
    subject="{raw}",
    notes=("A clip may carry two emotions (surprise+positive): paper4 and megc3 drop those, with a count.",
           "AUs marked (k) are there but do not move."),
    unconfirmed=("folder and column names, which rest on one public reader", "frame file names",
                 "frames per second of the grey video", "the number of subjects with clips"),
)  # fmt: skip

DFME = DatasetSpec(
    name="dfme",
    title="DFME",
    paper="Zhao, Tang, Mao, Liu, Zhang, Wang, Xu, Chen: DFME: a new benchmark for dynamic facial micro-expression "
    "recognition. IEEE Transactions on Affective Computing 15(3), 2024",
    doi="10.1109/TAFFC.2023.3341918",
    obtain="request at https://mea-lab-421.github.io",
    licence=_AGREEMENT,
    fps=None,
    subjects=None,
    clips=7526,
    sheet=Sheet(
        files=("*with_AU*.xlsx", "*/*with_AU*.xlsx"),
        columns={
            "subject": ("Subject",),
            "filename": ("Filename",),
            "onset": ("OnsetFrame", "Onset"),
            "apex": ("ApexFrame", "Apex"),
            "offset": ("OffsetFrame", "Offset"),
            "emotion": ("Emotion",),
            "fps": ("Fps",),
            "aus": ("AU", "AUs"),
        },
        every_file=True,
    ),
    releases=(
        Release("raw", ("*", "*/*train*", "*/*test*"), "sub[0-9]*_[0-9]*", ("{filename}",),
                "<split>/sub0001_01/00020.png"),
    ),
    subject="sub{number:04d}",
    clip_id="{filename}",
    notes=("200, 300 and 500 fps: the sheet says which. The splits' sheets are read together.",),
    unconfirmed=("the splits' folder names", "the number of subjects with clips (671 people took part)"),
)  # fmt: skip

CUSTOM = DatasetSpec(
    name="custom",
    title="Your own recordings",
    paper="",
    doi="",
    obtain="write ROOT/clips.csv: path, subject, emotion; optionally clip_id, dataset, onset, apex, offset, fps, aus",
    licence="yours",
    fps=None,
    subjects=None,
    clips=None,
    releases=(
        Release("own", ("",), "clips.csv", ("{filename}",), "clips.csv beside frame folders, videos or motion images"),
    ),
    notes=("A path is a folder of numbered images, a video file, or one motion image; it lies inside ROOT.",),
)

SPECS: Mapping[str, DatasetSpec] = {
    entry.name: entry
    for entry in (
        CASME, CASME2, CASME_SQ, CASME_SQ_MACRO, SAMM, SAMM_LV, SMIC_HS, SMIC_HS_E, MMEW, CASME3, FOURDME, DFME, CUSTOM,
    )
}  # fmt: skip
"""Every supported dataset by name."""


def spec(name: str) -> DatasetSpec:
    """The spec of a dataset; upper and lower case are alike.

    Raises:
        InputError: no such dataset; it names the supported ones and the one that was probably meant.
    """
    if str(name).lower() not in SPECS:
        raise unknown("dataset", name, SPECS)
    return SPECS[str(name).lower()]
