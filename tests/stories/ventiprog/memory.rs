//! ventiprog: memory is bounded by what circulates, not by how many targets there are.

use std::fs;

use venti_tests::arena::PartitionBuilder;
use venti_tests::venti::{Fault, How, On, Setup, Store, Venti};

use crate::fixture::site::Site;

/// Targets that hang at different places, and go on by themselves after that:
/// what one of them does, each of them does in a walk of its own.
fn peak(site: &Site, targets: u64) -> u64 {
    let ventis: Vec<Venti> = (0..targets)
        .map(|number| {
            Venti::with(Setup {
                store: Store::Null,
                faults: vec![
                    Fault::at(On::Write, 250 * number + 1, How::Stall),
                    Fault::at(On::Write, 15_000 - 250 * number, How::Stall),
                ],
                ..Setup::default()
            })
        })
        .collect();
    let _ = fs::remove_file(site.state("wrcmds"));
    let _ = fs::remove_file(site.state("wrcmd"));
    let limits = "[limits]\nsilence = 4\nretries = 9\n";
    let command = site.ventiprog().config(limits).args(["-p", &site.part()]);
    let mut run = command.args(ventis.iter().map(Venti::dial)).start();
    let status = format!("/proc/{}/status", run.id());
    let mut peak = 0;
    while run.is_running() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        peak = peak.max(found.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = run.wait();
    assert_eq!(output.status, 0, "{output:?}");
    peak
}

#[test]
fn forty_targets_of_different_speeds_need_hardly_more_than_eight() {
    let mut site = Site::built(&PartitionBuilder::new().arenas(2, 64 << 20));
    site.add(12_000);
    let (few, many) = (peak(&site, 8), peak(&site, 40));
    eprintln!("peak: {few} KiB for 8, {many} KiB for 40");
    assert!(
        many < few.max(48 << 10) + (16 << 10),
        "{few} KiB, {many} KiB"
    );
}
