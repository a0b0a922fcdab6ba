//! What plain progress text says of each step.

use std::collections::BTreeMap;

/// Plain progress text, taken apart: `#N NAME`, then lines of that step, `#N CACHED`, `#N DONE 0.1s`.
#[derive(Debug)]
pub struct Progress {
    text: String,
    names: BTreeMap<u32, String>,
    cached: Vec<u32>,
}

impl Progress {
    /// Takes a build's standard error apart.
    pub fn parse(text: &str) -> Self {
        let mut progress = Self {
            text: text.to_owned(),
            names: BTreeMap::new(),
            cached: Vec::new(),
        };
        for line in text.lines() {
            let Some((number, rest)) = line.strip_prefix('#').and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            progress
                .names
                .entry(number)
                .or_insert_with(|| rest.to_owned());
            if rest == "CACHED" {
                progress.cached.push(number);
            }
        }
        progress
    }

    /// Did the only step whose name contains `part` come from the cache?
    #[track_caller]
    pub fn cached(&self, part: &str) -> bool {
        let found: Vec<_> = self
            .names
            .iter()
            .filter(|(_, name)| name.contains(part))
            .collect();
        assert_eq!(
            found.len(),
            1,
            "one step should be called `{part}`:\n{}",
            self.text
        );
        self.cached.contains(found[0].0)
    }

    /// The steps that did not come from the cache, of those whose name contains one of `parts`.
    #[track_caller]
    pub fn ran<'a>(&self, parts: &[&'a str]) -> Vec<&'a str> {
        parts
            .iter()
            .copied()
            .filter(|part| !self.cached(part))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_known_by_name_and_cached_by_number() {
        let text = "#1 [internal] load build definition\n#1 DONE 0.0s\n\n#4 [1/2] RUN one\n#4 CACHED\n\n#5 [2/2] RUN two\n#5 0.1 CACHED\n";
        let progress = Progress::parse(text);
        assert!(progress.cached("RUN one"));
        assert_eq!(progress.ran(&["RUN one", "RUN two"]), ["RUN two"]);
    }
}
