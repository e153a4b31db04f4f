"""Every dataset's layout by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from affnet_tf.datasets.synthetic.layout import Layout
from affnet_tf.datasets.synthetic.layouts_casme import CASME, CASME2, CASME3, CASME_SQ, CASME_SQ_MACRO
from affnet_tf.datasets.synthetic.layouts_more import CUSTOM, DFME, FOURDME, MMEW, SAMM, SAMM_LV, SMIC_HS, SMIC_HS_E

__all__ = ["LAYOUTS"]

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "casme": CASME,
        "casme2": CASME2,
        "casme_sq": CASME_SQ,
        "casme_sq_macro": CASME_SQ_MACRO,
        "samm": SAMM,
        "samm_lv": SAMM_LV,
        "smic_hs": SMIC_HS,
        "smic_hs_e": SMIC_HS_E,
        "mmew": MMEW,
        "casme3": CASME3,
        "4dme": FOURDME,
        "dfme": DFME,
        "custom": CUSTOM,
    }
)
