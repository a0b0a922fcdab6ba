//! Variables in the order in which they were last set.

use std::collections::BTreeMap;

use super::Variables;

/// Named values. Setting a name again moves it to the end, as BuildKit's list of variables does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    values: BTreeMap<String, (u64, String)>,
    next: u64,
    size: usize,
}

impl Environment {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.size += name.len() + value.len();
        self.next += 1;
        let entry = (self.next, value.to_owned());
        if let Some((_, old)) = self.values.insert(name.to_owned(), entry) {
            self.size -= name.len() + old.len();
        }
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Names and values, the name set last at the end.
    pub(crate) fn list(&self) -> Vec<(String, String)> {
        let mut list: Vec<_> = self.values.iter().collect();
        list.sort_unstable_by_key(|(_, (order, _))| *order);
        list.into_iter()
            .map(|(name, (_, value))| (name.clone(), value.clone()))
            .collect()
    }

    /// Bytes of all names and values.
    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl Variables for Environment {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_last_setting() {
        let mut environment = Environment::default();
        for (name, value) in [("A", "1"), ("B", "2"), ("A", "33")] {
            environment.set(name, value);
        }
        let list = [("B", "2"), ("A", "33")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(environment.list(), list);
        assert_eq!(environment.size(), 5);
        assert_eq!(environment.value("A"), Some("33"));
        assert_eq!(environment.value("C"), None);
    }
}
