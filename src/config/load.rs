//! Reads the configuration file and the rule files that it names.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::options::{Unset, option};
use super::parse::parse;
use crate::policy::diagnostic::{Diagnostic, Severity, Source};

const P_UNREADABLE: &str = "P0601";
const P_NO_FILE: &str = "P0603";
const P_NOT_LOADED: &str = "P0702";

/// Octets of one file. Nobody writes this much by hand; a list of addresses in a rule file may.
const MAX_FILE: u64 = 8 << 20;

/// What was read. Rule files are not compiled yet.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub source: Arc<Source>,
    /// In the order of evaluation: pattern by pattern, and by name within one.
    pub rule_sources: Vec<Arc<Source>>,
    pub warnings: Vec<Diagnostic>,
}

/// Reads the file at `path` and its rule files. All errors come back, and with them the warnings.
pub fn load(path: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    let source = Arc::new(read(path).map_err(|error| vec![error])?);
    let mut parsed = parse(&source);
    let Some(config) = parsed.config else {
        return Err(parsed.found);
    };
    let mut gathered = Gathered::default();
    for (at, pattern) in config.rules.iter().enumerate() {
        let place = parsed.rule_places.get(at).map(|span| (source.clone(), span.clone()));
        gathered.pattern(path, pattern, place);
    }
    gathered.not_loaded(path, &config.rules);
    parsed.found.append(&mut gathered.found);
    if parsed.found.iter().any(|d| d.severity == Severity::Error) {
        return Err(parsed.found);
    }
    let rule_sources = gathered.files.into_iter().map(|(_, source)| source).collect();
    Ok(Loaded { config, source, rule_sources, warnings: parsed.found })
}

/// The rule files where they are by default, as far as they can be read: for telling what is wrong
/// in them when the configuration file itself does not say where they are.
pub fn default_rules(path: &Path) -> Vec<Arc<Source>> {
    let Unset::Is(patterns) = option("", "rules").default else { return Vec::new() };
    let mut gathered = Gathered::default();
    gathered.pattern(path, patterns.trim_matches(['[', ']', '"']), None);
    gathered.files.into_iter().map(|(_, source)| source).collect()
}

fn read(path: &Path) -> Result<Source, Diagnostic> {
    let fail = |reason: String| {
        finding(Severity::Error, P_UNREADABLE, format!("cannot read {}: {reason}", path.display()))
    };
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| fail(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(fail(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { path: path.to_owned(), text }),
        Err(error) => {
            let line = error
                .as_bytes()
                .iter()
                .take(error.utf8_error().valid_up_to())
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            Err(fail(format!("line {line} is not UTF-8")))
        }
    }
}

fn finding(severity: Severity, code: &'static str, message: String) -> Diagnostic {
    Diagnostic { severity, code, message, place: None, label: String::new(), help: Vec::new() }
}

type Place = Option<(Arc<Source>, std::ops::Range<usize>)>;

/// Rule files found so far, each once.
#[derive(Default)]
struct Gathered {
    files: Vec<(PathBuf, Arc<Source>)>,
    /// Directories in which a pattern looked.
    directories: Vec<PathBuf>,
    found: Vec<Diagnostic>,
}

impl Gathered {
    fn pattern(&mut self, config: &Path, pattern: &str, place: Place) {
        let full = beside(config).join(pattern);
        let (Some(directory), Some(name)) = (full.parent(), Path::new(pattern).file_name()) else {
            return;
        };
        let name = name.to_string_lossy();
        let mut paths = if name.contains('*') {
            match files(directory) {
                Ok(list) => {
                    list.into_iter().filter(|path| matches(&name, &file_name(path))).collect()
                }
                // The default directory need not be there.
                Err(_) if place.is_none() => Vec::new(),
                Err(error) => {
                    let message =
                        format!("cannot read the directory {}: {error}", directory.display());
                    self.found
                        .push(Diagnostic { place, ..finding(Severity::Error, P_NO_FILE, message) });
                    return;
                }
            }
        } else if full.is_file() {
            vec![full.clone()]
        } else {
            let message = format!("there is no file {}", full.display());
            self.found.push(Diagnostic { place, ..finding(Severity::Error, P_NO_FILE, message) });
            return;
        };
        paths.sort();
        if !self.directories.iter().any(|known| known == directory) {
            self.directories.push(directory.to_owned());
        }
        for path in paths.into_iter().filter(|path| path != config) {
            if self.files.iter().any(|(known, _)| *known == path) {
                continue;
            }
            match read(&path) {
                Ok(source) => self.files.push((path, Arc::new(source))),
                Err(error) => self.found.push(error),
            }
        }
    }

    /// Files that lie beside loaded ones as if they were meant: `70-new.toml.bak`, `70-new.tml`.
    /// Hidden files and READMEs are not, nor what lies beside the configuration file itself unless
    /// it says that it is TOML.
    fn not_loaded(&mut self, config: &Path, patterns: &[String]) {
        let patterns: Vec<String> = patterns.iter().map(|pattern| format!("{pattern:?}")).collect();
        for directory in &self.directories {
            let shared = *directory == beside(config);
            let mut paths = files(directory).unwrap_or_default();
            paths.sort();
            for path in paths {
                let name = file_name(&path);
                let meant = !name.starts_with('.')
                    && !name.starts_with("README")
                    && (!shared || name.contains(".toml"));
                if !meant || path == config || self.files.iter().any(|(known, _)| *known == path) {
                    continue;
                }
                let shown = path.strip_prefix(beside(config)).unwrap_or(&path);
                let message = format!(
                    "not loaded: {} does not match rules = [{}]",
                    shown.display(),
                    patterns.join(", ")
                );
                self.found.push(finding(Severity::Warning, P_NOT_LOADED, message));
            }
        }
    }
}

/// The directory of the configuration file.
fn beside(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).to_owned()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The regular files in a directory; symbolic links are followed.
fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let paths = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

/// `*` stands for any text. As in a shell, not for a leading dot.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        // The leftmost match leaves the most for the others.
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars() {
        for (pattern, name) in [
            ("*.toml", "50-local.toml"),
            ("*.toml", "a.toml.toml"),
            ("a*b*c", "abc"),
            ("a*b*c", "a-b-b-c"),
            ("*", "x"),
            ("**", ""),
            ("10.toml", "10.toml"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.toml", "50-local.toml.bak"),
            ("*.toml", ".hidden.toml"),
            ("*.toml", "toml"),
            ("a*b*c", "acb"),
            ("ab*ba", "aba"),
            ("10.toml", "110.toml"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
