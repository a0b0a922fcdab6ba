use std::fmt::Write as _;

use super::{Command, Joint, Part, parse};

/// A script on one line: words between blanks, what is not literal in angle brackets, joints as written.
fn shown(text: &str) -> String {
    parse(text).commands.iter().map(command).collect()
}

fn command(command: &Command) -> String {
    let mut out = String::new();
    if command.tested {
        out.push('?');
    }
    if command.header {
        out.push('#');
    }
    for word in command.assignments.iter().chain(&command.words) {
        for part in &word.parts {
            let _ = match part {
                Part::Literal { text, quoted: true } => write!(out, "'{text}'"),
                Part::Literal { text, .. } => write!(out, "{text}"),
                Part::Variable(variable) => write!(
                    out,
                    "<{}{}{}>",
                    if variable.quoted { "\"" } else { "" },
                    variable.name,
                    variable.operator
                ),
                Part::Substitution(script) => {
                    let inner: Vec<_> = script.commands.iter().map(self::command).collect();
                    write!(out, "<({})>", inner.concat().trim_end())
                }
                Part::Other => write!(out, "<>"),
            };
        }
        out.push(' ');
    }
    let joint = match command.after {
        Joint::Sequence => "; ",
        Joint::And => "&& ",
        Joint::Or => "|| ",
        Joint::Pipe => "| ",
        Joint::Background => "& ",
        Joint::End => "",
    };
    out.push_str(joint);
    out
}

#[test]
fn words_have_parts() {
    for (text, expected) in [
        ("a b", "a b "),
        ("a'b c'\"d\"", "a'b cd' "),
        (r"a\ b\$c", "a' 'b'$'c "),
        ("\"$x\" $y ${z:-1}", "<\"x> <y> <z:-1> "),
        ("\"a${x}b\"", "'a'<\"x>'b' "),
        ("$(a b; c) `d`", "<(a b ; c)> <(d)> "),
        ("\"$(a \"$b\")\"", "<(a <\"b>)> "),
        ("$((1 + 2)) $# ${#x}", "<> <#> <> "),
        ("$'a\\'b' ''", "'a'b' '' "),
        ("A=1 B=$x cmd", "A=1 B=<x> cmd "),
        ("cmd A=1", "cmd A=1 "),
        ("a \\\n b", "a b "),
        ("a$", "a$ "),
        ("é ü", "é ü "),
        ("${open", "${open "),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn commands_are_joined() {
    for (text, expected) in [
        ("a && b || c; d & e", "a && b || c ; d & e "),
        ("a | b |& c", "a | b | c "),
        ("a\nb # c\n\nd", "a ; b ; d "),
        ("a >x 2>&1 <y", "a "),
        ("a &>x b", "a b "),
        ("if a; then b; else c; fi && d", "?a ; b ; c && d "),
        ("while read x; do a $x; done | b", "?read x ; a <x> | b "),
        ("! a | b; c", "?a | ?b ; c "),
        ("(a; b) | c", "a ; b | c "),
        ("{ a; b; }; c", "a ; b ; c "),
        ("for f in *.c; do cc $f; done", "#for f in *.c ; cc <f> "),
        (
            "case $x in a|b) c;; (*) d; esac; e",
            "#case <x> in c d ; e ",
        ),
        ("[[ -n $a && $b < c ]] && d", "#[[ -n <a> <b> c ]] && d "),
        ("f() { a; }; f", "a ; f "),
        ("function f { a; }", "a "),
        ("cat <<E >x; a\nb $c\nE\nd", "cat ; a ; d "),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn calls_are_looked_through() {
    for (text, expected) in [
        ("/usr/bin/apt-get install", "apt-get"),
        ("sudo -E rm x", "rm"),
        ("env A=1 B=2 make", "make"),
        ("A=1 make", "make"),
    ] {
        let script = parse(text);
        let call = script.commands.first().and_then(Command::call);
        assert_eq!(call.map(|(name, _)| name).as_deref(), Some(expected));
    }
}

#[test]
fn odd_text_is_read_to_its_end() {
    let deep = "$(".repeat(5000);
    let braces = "${x:-".repeat(5000);
    let brackets = "(".repeat(5000);
    for text in [
        "'",
        "\"",
        "\\",
        "$",
        "${",
        "$(",
        "`",
        "((",
        "))",
        ";;",
        "<<",
        "<<-",
        ">",
        "&>",
        "case x in",
        "esac",
        "done",
        "function",
        "[[ a",
        "$'",
        "a\u{1f600}\\\u{1f600}",
        "<<E\n",
        "if (",
        "}",
        "f(",
        "f()",
        "f(\u{e9})",
        &deep,
        &braces,
        &brackets,
    ] {
        let script = parse(text);
        for command in &script.commands {
            assert!(text.get(command.extent.clone()).is_some(), "{text}");
        }
    }
}
