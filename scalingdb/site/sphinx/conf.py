"""Sphinx settings of the site. Everything is read from this machine; nothing is loaded from a network."""

import gc
from importlib import metadata

gc.disable()  # trees of pages are large and few of them ever garbage: looking for it took a quarter of the time

project = "scalingdb"
release = metadata.version("scalingdb")
author = "the scalingdb authors"
copyright = "the scalingdb authors; the numbers belong to their sources"  # noqa: A001
language = "en"

extensions = [
    "scalingdb.site.extension",  # first: it keeps the others' imports light
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence", "attrs_inline", "attrs_block"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
nb_execution_mode = "off"  # the project has run them
nb_render_markdown_format = "myst"
nb_merge_streams = True
nb_code_prompt_show = "Show code"
nb_code_prompt_hide = "Hide code"
# a notebook may begin its outputs with a smaller heading, and its source may use any lexer
suppress_warnings = ["myst.header", "misc.highlighting_failure", "mystnb.unknown_mime_type"]
exclude_patterns = ["_static"]

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
add_module_names = False
default_role = "code"

html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_title = "scalingdb"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # summaries are fetched, which a page opened as a file may not do
html_permalinks_icon = "#"
pygments_style = "a11y-high-contrast-light"
html_theme_options = {
    "logo": {"text": "scalingdb"},
    "navbar_align": "left",
    "header_links_before_dropdown": 8,
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button-field"],
    "secondary_sidebar_items": {"**": ["page-toc"], "laws": [], "sources": [], "papers": [], "ledger": []},
    "article_footer_items": [],
    "footer_start": ["made-by"],
    "footer_end": [],
    "show_nav_level": 1,
    "navigation_depth": 2,
    "collapse_navigation": True,
    "show_prev_next": True,
    "back_to_top_button": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "search_bar_text": "Search laws, sources, guides ...",
}
html_sidebars: dict[str, list[str]] = {
    "index": [],
    "search": [],
    "changelog": [],
    "provenance": [],
    "reliability": [],
    "ledger": [],
    "laws": [],
    "sources": [],
    "papers": [],
    "laws/*": [],
    "sources/*": [],
}
