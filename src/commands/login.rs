//! `rbuild login` and `rbuild logout`.

use std::io::Read as _;

use clap::Args;
use engine::images::{key_of, registry_of};

use super::Context;
use crate::backend::{Backend, Kept, Login};
use crate::error::Error;
use crate::signals::interruptible;
use crate::terminal;

/// Flags of `rbuild login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The registry; without it, Docker Hub
    #[arg(value_name = "SERVER", default_value = "", hide_default_value = true)]
    pub server: String,
    /// The user
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// The password or personal access token; others on this machine may see it
    #[arg(short, long, value_name = "TEXT", conflicts_with = "password_stdin")]
    pub password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// Flags of `rbuild logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The registry; without it, Docker Hub
    #[arg(value_name = "SERVER", default_value = "", hide_default_value = true)]
    pub server: String,
}

/// Logs in to a registry.
pub(crate) async fn login<B: Backend>(
    args: LoginArgs,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    let server = args.server.clone();
    if args.password.is_some() {
        cx.printer
            .say("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
    }
    let asks = args.username.is_none() && args.password.is_none() && !args.password_stdin;
    if asks && interruptible(async { Ok(cx.backend.log_in_again(&server).await?) }).await? {
        cx.printer
            .say("Authenticating with existing credentials...\n");
        cx.printer.line("Login Succeeded")?;
        return Ok(0);
    }
    let login = credentials(args, cx).await?;
    let kept = interruptible(async { Ok(cx.backend.log_in(&server, &login).await?) }).await?;
    if let Kept::File(path) = kept {
        cx.printer.say(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\n\
             Configure a credential helper to remove this warning. See\n\
             https://docs.docker.com/go/credential-store/\n\n",
            path.display()
        ));
    }
    cx.printer.line("Login Succeeded")?;
    Ok(0)
}

/// Logs out of a registry.
pub(crate) async fn logout<B: Backend>(
    args: LogoutArgs,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    let registry = registry_of(&args.server);
    cx.printer.line(&format!(
        "Removing login credentials for {}",
        key_of(&registry)
    ))?;
    cx.backend.log_out(&args.server).await?;
    Ok(0)
}

/// User and password: from flags and standard input, else from the terminal.
async fn credentials<B>(args: LoginArgs, cx: &mut Context<'_, B>) -> Result<Login, Error> {
    if args.password_stdin {
        let user = args.username.ok_or_else(|| {
            Error::Usage("must provide `--username` with `--password-stdin`".to_owned())
        })?;
        let password = piped_password()?;
        return complete(user, password);
    }
    let asks = args.username.is_none() || args.password.is_none();
    if asks && !terminal::input_is_terminal() {
        let message = "cannot perform an interactive login from a non TTY device; use `--username` and `--password-stdin`";
        return Err(Error::Usage(message.to_owned()));
    }
    let user = match args.username {
        Some(user) => user,
        None => ask(cx, "Username: ").await?,
    };
    let password = if let Some(password) = args.password {
        password
    } else {
        let _hidden = terminal::Hidden::enter()?;
        let password = ask(cx, "Password: ").await?;
        cx.printer.say("\n");
        password
    };
    complete(user, password)
}

fn complete(user: String, password: String) -> Result<Login, Error> {
    if user.is_empty() || password.is_empty() {
        let message = "username and password are required";
        return Err(Error::Usage(message.to_owned()));
    }
    Ok(Login { user, password })
}

/// All of standard input without the end of its last line.
fn piped_password() -> Result<String, Error> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|source| Error::Io {
        action: "read the password",
        source,
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Asks at the terminal, until the user answers or stops the program.
async fn ask<B>(cx: &mut Context<'_, B>, question: &str) -> Result<String, Error> {
    cx.printer.say(question);
    let failed = |source| Error::Io {
        action: "read from the terminal",
        source,
    };
    let read = || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    };
    interruptible(async {
        let line = tokio::task::spawn_blocking(read).await;
        let line = line.map_err(std::io::Error::other).and_then(|line| line);
        Ok(line.map_err(failed)?.trim().to_owned())
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::commands::fake::{Fake, run_command};

    #[test]
    fn a_login_is_shown_to_the_registry_and_kept() {
        let fake = Fake::default();
        let done = run_command(&fake, &["login", "-u", "me", "-p", "secret", "a.io"]);
        assert_eq!((done.code, &*done.out), (0, "Login Succeeded\n"));
        assert_eq!(
            done.err,
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n\n\
             WARNING! Your credentials are stored unencrypted in '/home/me/.docker/config.json'.\n\
             Configure a credential helper to remove this warning. See\n\
             https://docs.docker.com/go/credential-store/\n\n"
        );
        assert_eq!(fake.calls(), ["log_in a.io me secret"]);
        let done = run_command(&fake, &["login", "-u", "me", "-p", "secret", "helped.io"]);
        assert!(!done.err.contains("unencrypted"), "{}", done.err);
    }

    #[test]
    fn what_is_kept_is_used_again() {
        let done = run_command(&Fake::default(), &["login", "known.io"]);
        assert_eq!(done.out, "Login Succeeded\n");
        assert_eq!(done.err, "Authenticating with existing credentials...\n");
    }

    #[test]
    fn a_password_needs_a_user() {
        let fake = Fake::default();
        let done = run_command(&fake, &["login", "--password-stdin", "a.io"]);
        assert_eq!(done.code, 1);
        assert!(
            done.err.contains("must provide `--username`"),
            "{}",
            done.err
        );
        let done = run_command(&fake, &["login", "-u", "", "-p", "secret", "a.io"]);
        assert_eq!(done.code, 1);
        assert!(done.err.contains("are required"), "{}", done.err);
        assert!(fake.calls().is_empty());
    }

    #[test]
    fn a_logout_names_the_registry_as_docker_does() {
        let fake = Fake::default();
        let done = run_command(&fake, &["logout"]);
        assert_eq!(
            done.out,
            "Removing login credentials for https://index.docker.io/v1/\n"
        );
        let done = run_command(&fake, &["logout", "https://a.io/v2/"]);
        assert_eq!(done.out, "Removing login credentials for a.io\n");
        assert_eq!(fake.calls(), ["log_out ", "log_out https://a.io/v2/"]);
    }
}
