"""Settings of Sphinx: ``sphinx-build -W -b html docs docs/_build`` needs no network."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "tools"))
sys.path.insert(0, str(HERE.parent))

# Pictures are drawn without a screen, and numbers do not depend on the number of cores.
os.environ["MPLBACKEND"] = "Agg"

from api_pages import write_pages  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from table_pages import write_table_pages  # noqa: E402

import grandpp  # noqa: E402

project = "grandpp"
author = "The grandpp authors"
project_copyright = author
version = release = grandpp.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # equations are rendered without a network, too
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "tools", "gallery"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Shape", "Shapes"]

# The gallery: every docs/gallery/plot_*.py is run, one after the other.
EXAMPLES = sorted((HERE / "gallery").glob("plot_*.py"))
if EXAMPLES:
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": "gallery",
        "gallery_dirs": "auto_gallery",
        "filename_pattern": "/plot_",
        "within_subsection_order": "FileNameSortKey",
        "show_memory": False,
        "parallel": False,
        "abort_on_example_error": True,
        "write_computation_times": False,
        "download_all_examples": False,
        "remove_config_comments": True,
        "doc_module": ("grandpp",),
        "reference_url": {"grandpp": None},
        "backreferences_dir": None,
    }

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wide_equations.css"]
html_title = f"grandpp {release}"
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

write_pages(HERE / "api")
write_table_pages(HERE.parent / "results", HERE / "results")


def skip_foreign(_app: Sphinx, _kind: str, _name: str, member: Any, skip: bool, _o: Any) -> bool:
    """Leave out members that other packages add to a class, as scikit-learn does."""
    module = getattr(member, "__module__", None) or "grandpp"
    return skip or not module.startswith("grandpp")


def leave_out_gallery(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Drop the link to a gallery without examples."""
    source[0] = source[0].replace("\nauto_gallery/index\n", "\n")


def setup(app: Sphinx) -> None:
    """Register the hooks above."""
    app.connect("autodoc-skip-member", skip_foreign)
    if not EXAMPLES:
        app.connect("source-read", leave_out_gallery)
