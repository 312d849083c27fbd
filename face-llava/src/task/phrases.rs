//! Words that affirm and deny, and words that say nothing about labels.

/// Words that deny what follows, or what came before where nothing follows.
pub(super) const DENIALS: [&str; 15] = [
    "no", "not", "cannot", "never", "non", "without", "neither", "nor", "none", "lacks", "lack", "lacking", "absence",
    "unlike", "nothing",
];
/// What follows stands against what came before.
pub(super) const TURNS: [&str; 10] =
    ["but", "however", "yet", "though", "although", "while", "whereas", "instead", "except", "apart"];
/// Said of a label that is there.
pub(super) const PRESENT: [&str; 22] = [
    "active",
    "activated",
    "present",
    "visible",
    "seen",
    "observed",
    "detected",
    "engaged",
    "evident",
    "apparent",
    "involved",
    "noticeable",
    "contracted",
    "triggered",
    "found",
    "recognised",
    "recognized",
    "shown",
    "there",
    "yes",
    "true",
    "displayed",
];
/// Said of a label that is not there.
pub(super) const ABSENT: [&str; 5] = ["absent", "inactive", "missing", "false", "inactivated"];
/// Words of which a list may consist besides labels.
pub(super) const LIST_WORDS: [&str; 17] = [
    "and", "or", "nor", "any", "of", "also", "both", "either", "plus", "&", "+", "au", "aus", "action", "unit",
    "units", "facial",
];
/// Words that may stand between a label and what is said of it.
pub(super) const LINKS: [&str; 20] = [
    "is", "are", "was", "were", "be", "been", "being", "does", "do", "did", "has", "have", "seem", "seems", "appear",
    "appears", "look", "looks", "clearly", "all",
];
/// Begins of "cannot tell".
pub(super) const UNABLE: [&str; 7] = ["cannot", "unable", "impossible", "hard", "difficult", "unclear", "unknown"];
/// Ends of "cannot tell".
pub(super) const TELLING: [&str; 40] = [
    "tell",
    "told",
    "say",
    "said",
    "determine",
    "determined",
    "know",
    "known",
    "judge",
    "judged",
    "identify",
    "identified",
    "assess",
    "assessed",
    "infer",
    "inferred",
    "distinguish",
    "distinguished",
    "discern",
    "discerned",
    "recognise",
    "recognised",
    "recognize",
    "recognized",
    "estimate",
    "estimated",
    "guess",
    "guessed",
    "classify",
    "classified",
    "decide",
    "decided",
    "conclude",
    "concluded",
    "answer",
    "answered",
    "sure",
    "certain",
    "clear",
    "help",
];
