//! The variables of a container's processes, in Docker's order.

use super::state::ContainerConfig;

/// Where programs are looked for in a container whose image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What was asked for, then what else the image has. The later of two of one name counts, in the place of the first.
pub(super) fn merge(asked: &[(String, String)], image: &[String]) -> Vec<String> {
    let mut env: Vec<(String, String)> = Vec::with_capacity(asked.len() + image.len());
    for (name, value) in asked {
        set(&mut env, name, value);
    }
    for variable in image {
        let (name, value) = split(variable);
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    let joined = env.iter().map(|(name, value)| format!("{name}={value}"));
    joined.collect()
}

/// The variables of a process: those that every container has, the container's own, then `more`. `HOME` is still
/// missing unless it was asked for.
pub(super) fn of_process(
    config: &ContainerConfig,
    terminal: bool,
    more: &[(String, String)],
) -> Vec<(String, String)> {
    let mut env = vec![
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOSTNAME".to_owned(), config.hostname.clone()),
    ];
    if terminal {
        env.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    for variable in &config.env {
        let (name, value) = split(variable);
        set(&mut env, name, value);
    }
    for (name, value) in more {
        set(&mut env, name, value);
    }
    env
}

/// The variables with `HOME`, which is the user's directory unless it is among them.
pub(super) fn with_home(
    mut env: Vec<(String, String)>,
    user: &runtime::User,
) -> Vec<(String, String)> {
    if !env.iter().any(|(name, _)| name == "HOME") {
        let home = user.home.to_string_lossy();
        env.push(("HOME".to_owned(), home.into_owned()));
    }
    env
}

fn split(variable: &str) -> (&str, &str) {
    variable.split_once('=').unwrap_or((variable, ""))
}

fn set(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    match env.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => value.clone_into(known),
        None => env.push((name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::configure::CreateRequest;
    use super::super::configure::tests::configured;
    use super::*;

    fn pairs(variables: &[&str]) -> Vec<(String, String)> {
        let pairs = variables.iter().map(|variable| split(variable));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn what_is_asked_for_comes_first_and_counts() {
        let image = [
            "PATH=/bin".to_owned(),
            "A=image".to_owned(),
            "B=1=2".to_owned(),
        ];
        let asked = pairs(&["A=asked", "C=", "C=later"]);
        assert_eq!(
            merge(&asked, &image),
            ["A=asked", "C=later", "PATH=/bin", "B=1=2"]
        );
    }

    #[test]
    fn processes_have_path_host_name_and_terminal() {
        let request = CreateRequest {
            command: vec!["true".to_owned()],
            ..CreateRequest::default()
        };
        let mut config =
            configured(&request, image::config::ContainerConfig::default()).expect("a container");
        config.hostname = "box".to_owned();
        config.env = vec!["A=1".to_owned(), "PATH=/bin".to_owned()];
        let plain = of_process(&config, false, &[]);
        assert_eq!(plain, pairs(&["PATH=/bin", "HOSTNAME=box", "A=1"]));
        let more = pairs(&["A=2", "TERM=dumb"]);
        let entered = of_process(&config, true, &more);
        assert_eq!(
            entered,
            pairs(&["PATH=/bin", "HOSTNAME=box", "TERM=dumb", "A=2"])
        );
        config.env.clear();
        assert_eq!(of_process(&config, false, &[])[0].1, PATH);
    }

    #[test]
    fn home_is_the_users_unless_it_is_set() {
        let root = runtime::User::root();
        assert_eq!(with_home(pairs(&["A=1"]), &root), pairs(&["A=1", "HOME=/"]));
        assert_eq!(with_home(pairs(&["HOME=/x"]), &root), pairs(&["HOME=/x"]));
    }
}
