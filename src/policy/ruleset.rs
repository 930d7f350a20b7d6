//! Rule files compiled into one set.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Severity, Source};
use super::expr::Tri;
use super::expr::View;
use super::rule::{Action, Mode, Rule};
use super::{CheckSet, file, shipped};
use crate::facts::rate::Rate;
use crate::facts::registry::{HEADER, RATE, RCPT, RCPT_DOMAIN, RCPT_LOCAL};
use crate::facts::{Facts, FieldId, Stage};

/// One file of rules.
#[derive(Debug, Clone)]
pub struct RuleFile {
    pub source: Arc<Source>,
    /// One of ours: its rules have a mode for each profile.
    pub shipped: bool,
}

/// What compiling depends on besides the files.
pub struct Options<'a> {
    /// One of [`super::PROFILES`].
    pub profile: &'a str,
    /// [`Mode::Monitor`]: no refusal is given. `Off` is the same.
    pub mode: Mode,
    /// The DNS lists that are configured; `None` when that is not known, then any zone may be
    /// named.
    pub zones: Option<&'a [String]>,
    /// Reads a `[list.NAME]`'s file; a relative path is joined to the directory of the rule file.
    pub read_list: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// The compiled rules, in the order in which they are asked: that of the files as given.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// Those not off.
    active: Vec<usize>,
    rates: Vec<Rate>,
    profile: Arc<str>,
    monitor: bool,
    list_items: usize,
    header_names: Vec<String>,
    fields: Vec<FieldId>,
    /// The keys under which keyed fields are read, each with its stage.
    keys: Vec<(FieldId, Box<str>, Stage)>,
    /// For each stage, the last active rule that acts there or earlier.
    last_acting: [Option<usize>; 5],
    acts_at: [bool; 5],
    grouping: Vec<usize>,
}

/// A refusal that cannot be given at its stage because an earlier rule is not decided there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// Indexes in [`RuleSet::rules`].
    pub rule: usize,
    pub because_of: usize,
    /// When the earlier rule is known.
    pub until: Stage,
}

/// Compiles all files, or tells every mistake in all of them. The warnings come with the rules.
pub fn compile(
    files: &[RuleFile],
    options: &Options<'_>,
) -> Result<(RuleSet, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut report = super::toml_walk::Report { diagnostics: Vec::new() };
    let compiled = file::compile_files(files, options, &mut report);
    // As one reads: file by file, from the top. Files of lists come last.
    report.diagnostics.sort_by_key(|found| {
        found.place.as_ref().map(|(source, span)| {
            let file = files.iter().position(|file| Arc::ptr_eq(&file.source, source));
            (file.unwrap_or(files.len()), span.start)
        })
    });
    if report.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Err(report.diagnostics);
    }
    let mut set = RuleSet {
        rules: compiled.rules,
        rates: compiled.rates,
        profile: options.profile.into(),
        monitor: options.mode != Mode::Enforce,
        list_items: compiled.list_items,
        ..RuleSet::empty()
    };
    set.index();
    Ok((set, report.diagnostics))
}

impl RuleSet {
    /// No rules: everything passes.
    pub fn empty() -> RuleSet {
        RuleSet {
            rules: Vec::new(),
            active: Vec::new(),
            rates: Vec::new(),
            profile: shipped::PROFILES[0].into(),
            monitor: false,
            list_items: 0,
            header_names: Vec::new(),
            fields: Vec::new(),
            keys: Vec::new(),
            last_acting: [None; 5],
            acts_at: [false; 5],
            grouping: Vec::new(),
        }
    }

    /// All rules, those that are off included.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn rule(&self, id: &str) -> Option<(usize, &Rule)> {
        self.rules.iter().enumerate().find(|(_, rule)| *rule.id == *id)
    }

    pub fn rates(&self) -> &[Rate] {
        &self.rates
    }

    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// How many items all named lists have together.
    pub fn list_items(&self) -> usize {
        self.list_items
    }

    /// The header fields that conditions read, lower case: the `header` check sets these.
    pub fn header_names(&self) -> &[String] {
        &self.header_names
    }

    /// The rates that conditions read: the `rate` check asks and counts these. Each has its stage.
    pub fn used_rates(&self) -> impl Iterator<Item = &Rate> {
        self.rates.iter().filter(|rate| {
            self.keys.iter().any(|(field, key, _)| *field == RATE && **key == *rate.name)
        })
    }

    /// Some refusal is given at this stage, before RCPT: the session must ask there.
    pub fn acts_before_rcpt(&self, stage: Stage) -> bool {
        stage < Stage::Rcpt && self.acts_at[stage as usize]
    }

    /// The mode in effect: monitor for every refusal while the whole set is in monitor.
    pub fn mode_of(&self, rule: &Rule) -> Mode {
        if self.monitor && rule.action.refuses() { rule.mode.min(Mode::Monitor) } else { rule.mode }
    }

    /// Puts in the defaults of what rules read and a check that has run did not find, up to
    /// `stage`. Without this such a field stays unknown, and its check stays needed.
    pub fn settle(&self, check: &str, stage: Stage, facts: &mut Facts) {
        for field in self.fields.iter().filter(|field| field.get().check == Some(check)) {
            if !field.get().keyed && field.get().stage <= stage && facts.get(*field).is_none() {
                facts.set(*field, field.default_value());
            }
        }
        for (field, key, known_at) in &self.keys {
            if field.get().check == Some(check)
                && *known_at <= stage
                && facts.get_keyed(*field, key).is_none()
            {
                facts.set_keyed(*field, key, field.default_value());
            }
        }
    }

    /// A signature of all that the message stage's verdict takes from the recipient. Two
    /// recipients with different signatures cannot share a message. Ask with the facts of the
    /// RCPT stage.
    pub fn group(&self, facts: &Facts) -> u64 {
        if self.grouping.is_empty() {
            return 0;
        }
        let view = View::new(facts, Stage::Rcpt, false);
        let mut hash = Fnv::new();
        for rule in self.grouping.iter().filter_map(|index| self.rules.get(*index)) {
            let holds = view.eval(&rule.condition);
            hash.push(holds as u8);
            if holds == Tri::Unknown {
                rule.leaves(|leaf| {
                    if by_recipient(leaf.field) {
                        hash.push(view.leaf(leaf) as u8);
                    }
                });
            }
        }
        hash.0
    }

    /// Refusals that wait beyond their stage, each with the first rule that makes it wait longest.
    pub fn delays(&self) -> Vec<Delay> {
        let mut delays = Vec::new();
        for (index, rule) in self.active() {
            if !rule.action.refuses() {
                continue;
            }
            let mut reads = CheckSet::EMPTY;
            rule.leaves(|leaf| reads.insert(leaf.check));
            let earlier = self
                .active()
                .take_while(|(before, _)| *before < index)
                .filter(|(_, before)| before.mode == Mode::Enforce && before.known_at > rule.at)
                .filter(|(_, before)| match &before.action {
                    Action::Accept => true,
                    Action::Skip(checks) => checks.intersects(reads),
                    _ => false,
                });
            let mut longest: Option<Delay> = None;
            for (because_of, before) in earlier {
                if longest.as_ref().is_none_or(|delay| before.known_at > delay.until) {
                    longest = Some(Delay { rule: index, because_of, until: before.known_at });
                }
            }
            delays.extend(longest);
        }
        delays
    }

    /// The same rules with some of them enforced, whatever their mode, and the whole set too: for
    /// tests, which say what rules do, not which are switched on.
    pub(super) fn enforcing(&self, ids: &[&str]) -> RuleSet {
        let mut set = self.clone();
        set.monitor = false;
        for rule in &mut set.rules {
            if ids.contains(&&*rule.id) {
                rule.mode = Mode::Enforce;
            }
        }
        set.index();
        set
    }

    pub(super) fn active(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.active.iter().filter_map(|index| self.rules.get(*index).map(|rule| (*index, rule)))
    }

    pub(super) fn last_acting(&self, stage: Stage) -> Option<usize> {
        self.last_acting[stage as usize]
    }

    /// Computes everything that follows from the rules and their modes.
    fn index(&mut self) {
        self.active = (0..self.rules.len())
            .filter(|index| self.rules.get(*index).is_some_and(|rule| rule.mode != Mode::Off))
            .collect();
        let mut fields = Vec::new();
        let mut keys = Vec::new();
        let mut last_acting = [None; 5];
        let mut acts_at = [false; 5];
        let mut grouping = Vec::new();
        // Something above can accept or skip only at the message stage; something acts there.
        let mut late_decision = false;
        let mut acts_late = false;
        for (index, rule) in self.active() {
            let mut of_recipient = false;
            rule.leaves(|leaf| {
                fields.push(leaf.field);
                of_recipient |= by_recipient(leaf.field);
                if let Some(key) = &leaf.key {
                    keys.push((leaf.field, key.clone(), leaf.stage));
                }
            });
            fields.extend_from_slice(rule.shown());
            let decides = matches!(rule.action, Action::Accept | Action::Skip(_));
            if !decides {
                for stage in Stage::ALL.into_iter().filter(|stage| rule.at <= *stage) {
                    last_acting[stage as usize] = Some(index);
                }
                acts_at[rule.at as usize] |= rule.action.refuses();
                acts_late |= rule.at == Stage::Message || late_decision;
            }
            let at_message = decides || rule.at == Stage::Message || late_decision;
            if of_recipient && at_message && self.mode_of(rule) == Mode::Enforce {
                grouping.push(index);
            }
            late_decision |= decides && rule.known_at == Stage::Message;
        }
        fields.sort_unstable();
        fields.dedup();
        keys.sort_unstable();
        keys.dedup();
        let mut header_names: Vec<String> = keys
            .iter()
            .filter(|(field, _, _)| *field == HEADER)
            .map(|(_, key, _)| key.to_string())
            .collect();
        header_names.dedup();
        if !acts_late {
            grouping.clear();
        }
        self.fields = fields;
        self.keys = keys;
        self.header_names = header_names;
        self.last_acting = last_acting;
        self.acts_at = acts_at;
        self.grouping = grouping;
    }
}

fn by_recipient(field: FieldId) -> bool {
    field == RCPT || field == RCPT_DOMAIN || field == RCPT_LOCAL
}

/// FNV-1a: stable, and no more is needed to tell a few groups apart.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn push(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
}
