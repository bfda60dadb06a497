//! "Did you mean": the nearest of the names that would have been right.

/// The name that is nearest to a text, where one is near enough to be meant.
pub fn nearest<S: AsRef<str>>(text: &str, names: impl IntoIterator<Item = S>) -> Option<String> {
    let length = text.chars().count();
    let allowed = (length / 3).clamp(1, 4).min(length.saturating_sub(1));
    names
        .into_iter()
        .filter(|name| name.as_ref().chars().count().abs_diff(length) <= allowed)
        .map(|name| (distance(text, name.as_ref()), name))
        .filter(|(far, _)| *far <= allowed)
        .min_by(|(far, name), (other, than)| (far, name.as_ref()).cmp(&(other, than.as_ref())))
        .map(|(_, name)| name.as_ref().to_owned())
}

/// How many letters apart, case aside: `LOG_level` is near to `log-level`.
fn distance(text: &str, name: &str) -> usize {
    let plain = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    strsim::damerau_levenshtein(&plain(text), &plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant_only_when_it_is_near() {
        let names = ["replicas", "ports", "process", "protect"];
        assert_eq!(nearest("replica", names).as_deref(), Some("replicas"));
        assert_eq!(nearest("Ports", names).as_deref(), Some("ports"));
        assert_eq!(nearest("proces", names).as_deref(), Some("process"));
        assert_eq!(nearest("image", names), None);
        assert_eq!(nearest("ap", ["api"]).as_deref(), Some("api"));
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("", ["abc"]), None);
    }
}
