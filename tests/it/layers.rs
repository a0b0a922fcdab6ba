//! Both forms of layers: whatever a file system can hold survives them, on every path.

use std::process::Command;

use testkit::command;
use testkit::compare;
use testkit::context::Context;
use testkit::image::Image;
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;

use crate::rbuild;

const FORMS: [&str; 2] = ["erofs", "directory"];

/// A context with every kind of file that a directory of the host can hold.
fn zoo() -> Context {
    let context = Context::new(
        "FROM @busybox\nCOPY zoo /zoo\n\
         RUN mknod /zoo/null c 1 3 && mknod /zoo/block b 7 1 && mkfifo /zoo/pipe && echo grown >> /zoo/plain && rm /zoo/gone && \
         rm -r /zoo/replaced && mkdir /zoo/replaced && echo new > /zoo/replaced/new && mv /zoo/dir /zoo/moved\n\
         RUN chmod 4711 /zoo/plain && chown 7:8 /zoo/empty && touch -d @1234567890 /zoo/empty\n",
    );
    command::shell(
        context.path(),
        r#"mkdir -p zoo/dir/deep zoo/replaced zoo/sticky; cd zoo
        echo plain > plain; : > empty; echo x > gone; echo old > replaced/old; echo in > dir/deep/in
        echo hard > hard1; ln hard1 hard2; ln -s plain link; ln -s "$(printf '%0500d' 5)" longlink
        truncate -s 5M sparse; echo end >> sparse; head -c 3000001 /dev/urandom > big
        chmod 1777 sticky; chmod 2750 dir; touch "$(printf 'latin-\351')" 'sp ace' "$(printf '%0255d' 9)"
        echo cap > capable; chmod 755 capable; setcap cap_net_raw=ep capable
        python3 -c 'import os; os.setxattr("plain", "user.any", bytes(range(256)))'
        touch -d '2001-02-03 04:05:06.789012345' sticky"#,
    );
    context
}

/// Builds the context into an archive and reads that.
fn image(rbuild: &Rbuild, context: &Context) -> Image {
    let directory = testkit::scratch();
    let archive = directory.path().join("image.tar");
    rbuild.build(
        context.path(),
        &["--output", &format!("type=oci,dest={}", archive.display())],
    );
    Image::from_archive(&archive)
}

#[test]
fn both_forms_give_the_same_image() {
    let context = zoo();
    let [erofs, directory] = FORMS.map(|form| image(&rbuild().with_layers(form), &context));
    assert_eq!(compare::images(&erofs, &directory), []);
    let tree = erofs.tree();
    for (name, xattr) in [
        ("zoo/capable", "security.capability"),
        ("zoo/plain", "user.any"),
    ] {
        let node = tree.get(name.as_bytes()).expect("the file is in the image");
        assert!(
            node.xattrs.contains_key(xattr.as_bytes()),
            "{name} lost {xattr}"
        );
    }
    assert!(tree.get(b"zoo/gone").is_none() && tree.get(b"zoo/replaced/old").is_none());
}

#[test]
fn what_is_pushed_comes_back_and_runs_alike() {
    let (context, name) = (
        zoo(),
        format!("{}/test/zoo:latest", Registry::shared().host()),
    );
    rbuild().build(context.path(), &["-t", &name, "--push"]);
    // What `%s` says of a directory depends on the file system below it.
    let check = "cd /zoo && stat -c '%n %F %a %u %g %t %T' * moved/deep/in && stat -c '%n %s' big empty longlink sparse && cat hard2 replaced/new moved/deep/in && \
         cat plain && stat -c %y sticky && readlink longlink | wc -c && md5sum big sparse && [ hard1 -ef hard2 ] && echo linked";
    let said = FORMS.map(|form| {
        let rbuild = rbuild().with_layers(form);
        rbuild.run(["pull", &name]).succeeded();
        rbuild
            .run(["run", "--rm", &name, "sh", "-c", check])
            .succeeded()
            .to_owned()
    });
    assert_eq!(said[0], said[1]);
    for part in [
        "grown",
        "2001-02-03 04:05:06",
        "501",
        "linked",
        "null character special file 644 0 0 1 3",
    ] {
        assert!(said[0].contains(part), "`{part}` is missing:\n{}", said[0]);
    }
}

#[test]
fn a_directory_output_holds_the_same_files() {
    let context = zoo();
    for form in FORMS {
        let directory = testkit::scratch();
        let (tree, tar) = (
            directory.path().join("tree"),
            directory.path().join("tree.tar"),
        );
        let outputs = [
            format!("--output=type=local,dest={}", tree.display()),
            format!("--output=type=tar,dest={}", tar.display()),
        ];
        rbuild()
            .with_layers(form)
            .build(context.path(), &[&outputs[0], &outputs[1]]);
        let list =
            "find . -mindepth 1 -printf '%p %y %m %U %G %l %n\\n' | grep -v ' d .* [0-9]*$' | sort";
        let from_tree = command::shell(&tree, list);
        command::shell(
            directory.path(),
            "mkdir unpacked; tar --xattrs --xattrs-include='*' -C unpacked -xpf tree.tar",
        );
        assert_eq!(
            from_tree,
            command::shell(&directory.path().join("unpacked"), list),
            "{form}"
        );
        assert!(command::shell(&tree, "getfattr -n security.capability zoo/capable 2>/dev/null || python3 -c 'import os; os.getxattr(\"zoo/capable\", \"security.capability\")' && echo kept").contains("kept"));
    }
}

#[test]
fn many_layers_stack() {
    let steps = (0..120)
        .map(|n| format!("RUN echo {n} > /f{n} && rm -f /f{}\n", n / 2))
        .collect::<Vec<_>>()
        .concat();
    let context = Context::new(&format!("FROM @busybox\n{steps}CMD ls -d /f*\n"));
    let said = FORMS.map(|form| {
        rbuild()
            .with_layers(form)
            .build_and_run(context.path(), &[])
            .succeeded()
            .to_owned()
    });
    assert_eq!(said[0], said[1]);
    assert!(
        said[0].contains("/f119\n") && !said[0].contains("/f59\n"),
        "{}",
        said[0]
    );
}

#[test]
fn a_store_of_one_form_can_be_used_in_the_other() {
    let context = zoo();
    let rbuild = rbuild().with_layers("erofs");
    rbuild.build(context.path(), &["-t", "zoo"]);
    let rbuild = rbuild.with_layers("directory");
    assert_eq!(
        rbuild
            .run(["run", "--rm", "zoo", "cat", "/zoo/hard2"])
            .succeeded(),
        "hard\n"
    );
}

#[test]
fn more_layers_than_can_be_mounted_are_merged() {
    let step = |number: usize| {
        let more = match number {
            20 | 300 => format!("RUN rm /f{} && ln /f2 /linked{number}\n", number - 10),
            510 => "RUN ls /f* | wc -l > /count\n".to_owned(),
            _ => String::new(),
        };
        format!("COPY <<E /f{number}\n{number}\nE\n{more}")
    };
    let mut text = "FROM @busybox\n".to_owned();
    text.extend((0..520).map(step));
    text += "RUN rm /f1\nCMD cat /count; ls /f* | wc -l; ls /f10 /f290 /f1; [ /linked300 -ef /f2 ] && echo same\n";
    let (rbuild, context) = (rbuild(), Context::new(&text));
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let build = rbuild.command(["build", "-q", "-t", "built", path]);
    // As many open files as most shells allow.
    let mut few = Command::new("prlimit");
    few.arg("--nofile=1024").arg(build.get_program());
    few.args(build.get_args()).env_clear();
    few.envs(
        build
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command::run(&mut few).succeeded();
    let said = rbuild.run(["run", "--rm", "built"]);
    assert_eq!(said.stdout, "509\n517\nsame\n");
}

#[test]
fn a_destination_behind_a_link_leaves_directories_as_they_are() {
    let text = "FROM @busybox\nRUN mkdir -m 1770 /real && chown 5:6 /real && ln -s /real/file /to && ln -s /real/dir /todir\n\
         COPY a /to\nCOPY d /todir\nRUN stat -c '%a %u %g' /real > /seen; touch /real/later\nCMD cat /seen; stat -c '%a %u %g' /real; ls /real\n";
    let context = Context::new(text).with("a", "a").with("d/b", "b");
    for form in FORMS {
        let rbuild = rbuild().with_layers(form);
        let said = rbuild.build_and_run(context.path(), &[]);
        assert_eq!(said.stdout, "1770 5 6\n1770 5 6\ndir\nfile\nlater\n");
    }
}
