//! Which ventis are targets: the ones that a call, the configuration or the wrcmd names.

use eyre::{Result, WrapErr};

use super::Scope;
use super::sought::is_same_node;
use crate::codec::dial::Dial;
use crate::codec::replica::ReplicaName;
use crate::codec::target::TargetName;
use crate::codec::wrcmd::WrCmd;
use crate::config::Config;
use crate::host::terminal::Terminal;
use crate::net::reach::{Reach, Same};
use crate::status::Status;

/// The host of the wrcmd, then the operands or, without operands, what the
/// environment or the configuration lists; each once.
pub(crate) fn asked_for(
    wrcmd: Option<&WrCmd>,
    scope: &Scope,
    config: &Config,
) -> Result<Vec<TargetName>> {
    let own = host_of(wrcmd, config)?;
    let listed = listed(own.as_ref(), scope, config)?;
    let others = listed.into_iter().filter(|dial| own.as_ref() != Some(dial));
    Ok(own.iter().cloned().chain(others).collect())
}

/// The host of the wrcmd, where no list names it.
pub(crate) fn unlisted_host(
    wrcmd: Option<&WrCmd>,
    scope: &Scope,
    config: &Config,
) -> Result<Option<TargetName>> {
    let own = host_of(wrcmd, config)?;
    let listed = listed(own.as_ref(), scope, config)?;
    Ok(own.filter(|own| !listed.contains(own)))
}

fn host_of(wrcmd: Option<&WrCmd>, config: &Config) -> Result<Option<TargetName>> {
    let own = wrcmd.and_then(WrCmd::host).map(|host| config.target(host));
    own.transpose().wrap_err("wrcmd")
}

/// The operands or, without any, what the environment or the configuration lists; each once.
fn listed(own: Option<&TargetName>, scope: &Scope, config: &Config) -> Result<Vec<TargetName>> {
    let port = own
        .and_then(TargetName::dial)
        .map_or(Dial::VENTI, Dial::port);
    let asked = match scope.targets.is_empty() {
        true => &config.targets,
        false => &scope.targets,
    };
    let mut dials: Vec<TargetName> = Vec::new();
    for text in asked {
        let dial = TargetName::parse(text, config.venti.as_deref(), port)
            .wrap_err_with(|| format!("target {text:?}"))?;
        if !dials.contains(&dial) {
            dials.push(dial);
        }
    }
    Ok(dials)
}

/// Of several names of one server only the first is a target. Where two of them were
/// given, that is said and makes the run a partial one: there are fewer copies than
/// names. The host of the wrcmd, `own`, may have another name there.
pub(crate) fn one_each(
    dials: Vec<TargetName>,
    own: Option<&TargetName>,
    reach: &Reach,
    terminal: &Terminal,
) -> (Vec<TargetName>, Status) {
    let mut status = Status::Done;
    let (mut kept, mut given): (Vec<TargetName>, Vec<TargetName>) = (Vec::new(), Vec::new());
    for dial in dials {
        let is_same = |other: &&TargetName| is_same(other, &dial, reach);
        let doubled = given.iter().find(is_same);
        if let Some(first) = doubled {
            let (what, another) = match dial.dial() {
                Some(_) => ("server", "venti"),
                None => ("replica", "place"),
            };
            terminal.say(&format!(
                "{dial}: the same {what} as {first}: that is one copy, not two; \
                 leave one of the names out, or name another {another}"
            ));
            status = Status::Partly;
            continue;
        }
        let is_own = own == Some(&dial);
        match kept.iter().find(is_same) {
            Some(first) => terminal.report(&format!(
                "{dial}: the same server as {first}, which the wrcmd names: both are one target"
            )),
            None => kept.push(dial.clone()),
        }
        if !is_own {
            given.push(dial);
        }
    }
    (kept, status)
}

fn is_same(one: &TargetName, other: &TargetName, reach: &Reach) -> bool {
    use ReplicaName::Directory;
    match (one, other) {
        (TargetName::Venti(one), TargetName::Venti(other)) => reach.same(one, other) != Same::No,
        (TargetName::Replica(Directory(one)), TargetName::Replica(Directory(other))) => {
            is_same_node(one, other)
        }
        _ => one == other,
    }
}
