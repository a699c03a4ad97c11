"""Markup becomes what a reader sees as prose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonjax.data.wikitext import clean

CASES = {
    "links": ("A [[wave]], [[Light|light]], [[:Category:X]], [[s: the end|]].",
              "A wave, light, Category:X, s: the end."),
    "bold and italics": ("'''B''' ''i'' '''''bi''''' l'''amour'' ''''q''''", "B i bi lamour 'q'"),
    "comment": ("a<!-- x\n{{y -->b", "ab"),
    "reference": ('a<ref>b</ref>, c<ref name="n/m" />. d <ref name=z>{{cite|a=b}}</ref> .',
                  "a, c. d."),
    "reference within a template": ("{{quote|To be<ref>H</ref>, or not}}", "To be, or not"),
    "unknown template": ("a {{cn|date=May}} b", "a b"),
    "nested templates": ("{{infobox|x={{y|[[z]]|{{w}}}}}}a", "a"),
    "template with words": ("{{lang|fr|mot}} {{nowrap|a b}} {{Lang-la|verbum}}", "mot a b verbum"),
    "template with a possessive": ("''Eagle''{{'s}} legs", "Eagle's legs"),
    "words of other scripts": ("{{lang|ar|{{big|X}}}} {{nihongo|bayonet|Y|Z}} {{transl|ar|W}}",
                               "X bayonet W"),
    "quotation": ("a\n{{quote|b|c}}\nd", "a\n\nb\n\nd"),
    "fractions and values": ("{{frac|3}} {{frac|1|2}} {{frac|2|1|2}} {{val|6.2|e=18|u=m}}",
                             "1/3 1/2 2 1/2 6.2 × 10^18 m"),
    "number": ("{{formatnum:3003}}", "3003"),
    "list in a template": ("a\n{{ordered list|b|c}}\nd", "a\n\n- b\n- c\n\nd"),
    "quantities": ("{{convert|5|to|10|km|mi}}, {{convert|2|sqmi|km2}}, {{convert|5|ft|adj=on}}",
                   "5 to 10 km, 2 square miles, 5-foot"),
    "date": ("{{As of|2010|12}}, {{as of|2011|lc=y}}", "As of December 2010, as of 2011"),
    "brackets around nothing": ("'''Li''' ({{IPAc-en|l}}; {{respell|li}}) is (a; {{b}}).",
                                "Li is (a)."),
    "brackets of the author's own": ("f() and (, ) stay", "f() and (, ) stay"),
    "price of another day": ("$5 (${{Inflation|US|5}} in 2016 dollars)", "$5"),
    "ellipsis": ("so {{x}} ... and", "so ... and"),
    "table": ('a\n{| class="x"\n! h\n|-\n| b || [[c]]\n|}\nd', "a\n\nd"),
    "nested table": ("{|\n| {{x|\n{|\n| y\n|}\n}} z\n|}\na", "a"),
    "two tables with prose between": ("{|\n|a\n|}\nprose\n{|\n|b\n|}", "prose"),
    "indented table": ("a\n:{|\n|b\n|}\nc", "a\nc"),
    "unclosed table": ("a\n{| class=x\n| b\nc", "a\nc"),
    "template with an empty last argument": ("{{x|a=|}}b", "b"),
    "file": ("[[File:a.jpg|thumb|Of [[b]] and [http://c d].]]e [[image:x]]", "e"),
    "category and other languages": ("a\n[[Category:B]]\n[[fr:C]]\n[[zh-min-nan:D]]", "a"),
    "a colon is no language": ("[[CSI: Miami]] and [[IMF: a history]]",
                               "CSI: Miami and IMF: a history"),
    "external links": ("[http://x.y z w] [https://q] [//a b]", "z w b"),
    "html": ("H<sub>2</sub>O <small>a</small><br/>b <span style='x'>c</span>", "H2O a\nb c"),
    "powers": ("10<sup>-6</sup> m<sup>2</sup> 4<sup>th</sup>", "10^-6 m^2 4th"),
    "entities": ("a&nbsp;&amp; b &lt;i&gt; &ndash; &#65;", "a & b <i> – A"),
    "nowiki": ("<nowiki>[[a]] {{b}} ''</nowiki>", "[[a]] {{b}} ''"),
    "formula": ("the <math>a_{{b}}\n [[ < 2</math> is", "the $a_{{b}} [[ < 2$ is"),
    "code": ("<code>x[[1]] = ''a''</code>", "x[[1]] = ''a''"),
    "headings": ("a\n== B ==\n=== C ===\nd", "a\n\nB\n\nC\n\nd"),
    "empty section": ("a\n== B ==\n{{x}}\n== C ==\nd", "a\n\nC\n\nd"),
    "closing sections": ("a\n== See also ==\n* [[b]]\n=== Sub ===\nx\n== C ==\nd\n==Notes==\ne",
                         "a\n\nC\n\nd"),
    "lists": ("a\n* b\n** c\n# d\n: e\n;f", "a\n\n- b\n- c\n- d\ne\nf"),
    "nested and indented lists": ("* b\n** c\n:* d\n: e", "- b\n- c\n- d\ne"),
    "a term and its meaning": ("; f : g", "f : g"),
    "unbalanced quotes in a reference": ("a<ref>''b</ref> c ''d", "a c d"),
    "magic words": ("__NOTOC__a", "a"),
    "unclosed link": ("a [[b|c", "a b|c"),
    "unclosed template": ("a {{b|c\n\nd", "a b|c\n\nd"),
    "stray closers": ("a ]] b }} c", "a b c"),
    "crossed brackets": ("{{a|[[b}} c]] d", "c d"),
    "nothing": ("", ""),
}  # fmt: skip


@pytest.mark.parametrize(("source", "prose"), CASES.values(), ids=CASES.keys())
def test_cleaning(source, prose):
    assert clean(source) == prose


@given(st.text())
def test_any_text_is_accepted(text):
    assert isinstance(clean(text), str)


FRAGMENTS = [
    *"[]{}|'=<>/!-*#:;&$() ab1\n", "{{", "}}", "[[", "]]", "{|", "|}", "\n{|", "\n|}", "'''",
    "<ref>", "</ref>", "<ref/>", "<nowiki>", "</nowiki>", "<math>", "</math>", "<!--", "-->",
    "&amp;", "File:", "\n==", "==\n", "convert|", "as of|", "frac|", "\ue000", "\ue001",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
def test_any_markup_is_accepted_and_leaves_no_marks_of_ours(text):
    prose = clean(text)
    assert "\ue000" not in prose and "\ue001" not in prose
    assert "\n\n\n" not in prose or "<" in text  # verbatim code may hold anything


words = st.text(st.characters(exclude_characters="[]{}<>&\ue000\ue001", exclude_categories=["Cs"]))
balanced = st.recursive(
    words,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: "{{" + "|".join(parts) + "}}"),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: "[[" + "|".join(parts) + "]]"),
        inner.map(lambda text: f"\n{{| class=x\n| {text}\n|}}\n"),
        inner.map(lambda text: f"[[File:x.png|thumb|{text}]]"),
    ),
    max_leaves=8,
)


@given(balanced)
def test_balanced_markup_leaves_no_brackets(text):
    prose = clean(text)
    for mark in ("{{", "}}", "[[", "]]"):
        assert mark not in prose


@given(balanced)
def test_what_follows_balanced_markup_survives(text):
    assert clean(f"{text}\n\nThe end of it.").endswith("The end of it.")


def test_deep_nesting_and_long_texts_are_cheap():
    depth = 20_000
    assert clean("{{a|" * depth + "}}" * depth + "b") == "b"
    assert clean("[[a|" * depth + "b" + "]]" * depth).endswith("b")
    assert clean("[[" * depth + "b").endswith("b")
