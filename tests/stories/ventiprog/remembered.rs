//! ventiprog remembers damage in the source until it has ended.

use venti_tests::venti::Venti;
use venticore::codec::blocktype::BlockType;

use crate::fixture::site::Site;

/// A site with one damaged clump, and a target that has the others.
fn damaged() -> (Site, Venti) {
    let mut site = Site::new(50);
    site.partition.flip_data(0, 20, 100).unwrap();
    let venti = Venti::start();
    let output = site.runs(&[&venti], 3);
    let clump = site.clump(20);
    let named = format!(
        "ventiprog: arena arena0 clump {clump:#x} score {}: ",
        site.score(0, 20)
    );
    assert!(output.stderr.contains(&named), "{output:?}");
    assert_eq!(site.holes(&venti), 1);
    (site, venti)
}

#[test]
fn damage_stands_in_wrcmds_and_every_run_says_so() {
    let (mut site, venti) = damaged();
    let wrcmds = site.file("wrcmds");
    let line = format!(
        "# damaged magic={:#x} head={} offset={:#x} len={} type=data score={} arena=arena0\n",
        site.partition.arenas()[0].clump_magic(),
        site.head(0),
        site.clump(20),
        site.clump(21) - site.clump(20),
        site.score(0, 20)
    );
    assert!(wrcmds.contains(&line), "{wrcmds}");
    for added in [0, 5] {
        site.add(added);
        let output = site.ventiprog().run();
        assert_eq!(output.status, 3, "{output:?}");
        let said = format!(
            "ventiprog: {}: arena arena0 clump {:#x}: still damaged in the source and missing on the target; \
             mark it accepted in wrcmds if it is lost for good\n",
            venti.dial(),
            site.clump(20)
        );
        assert_eq!(output.remarks(), said);
        assert_eq!(site.damages(&venti), 1);
        let end = format!("{}\n", site.command(&venti.dial(), 0, site.end(0)));
        assert_eq!(site.file("wrcmd"), end, "damage alone keeps nothing back");
    }
}

#[test]
fn what_is_mended_in_the_source_is_sent() {
    let (mut site, venti) = damaged();
    site.partition.flip_data(0, 20, 100).unwrap();
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stderr.contains(": mended, sent\n"), "{output:?}");
    assert_eq!((site.holes(&venti), site.damages(&venti)), (0, 0));
    let output = site.ventiprog().run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

#[test]
fn what_the_target_has_from_elsewhere_is_no_loss() {
    let (site, venti) = damaged();
    site.give(&venti, [site.score(0, 20)]);
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output.stderr.contains(": found intact there\n"),
        "{output:?}"
    );
    assert_eq!(site.damages(&venti), 0);
    let output = site.ventiprog().run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

#[test]
fn what_the_target_has_and_cannot_give_back_is_still_lost() {
    let (site, venti) = damaged();
    let score = site.score(0, 20);
    site.give(&venti, [score]);
    venti.corrupt(BlockType::Data, &score);
    assert_eq!(site.ventiprog().run().status, 3);
    assert_eq!(site.damages(&venti), 1);
}

#[test]
fn an_operator_can_accept_a_loss() {
    let (mut site, venti) = damaged();
    let accepted = site.file("wrcmds").replace("# damaged ", "# accepted ");
    site.write("wrcmds", &accepted);
    site.add(5);
    let output = site.ventiprog().run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!((site.damages(&venti), site.holes(&venti)), (1, 1));
    assert!(site.file("wrcmds").contains("# accepted "));
    let output = site.ventiprog().arg("--verify").run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

#[test]
fn a_new_target_has_its_own_damage() {
    let (site, first) = damaged();
    let second = Venti::start();
    site.give(&first, [site.score(0, 20)]);
    site.runs(&[&first, &second], 3);
    assert_eq!((site.damages(&first), site.damages(&second)), (0, 1));
}

/// Header and directory entry of one clump and the data of the next: nothing
/// tells where the second starts, so both are one stretch.
#[test]
fn a_stretch_of_several_clumps_ends_only_when_all_of_it_is_there() {
    let mut site = Site::new(50);
    let garble = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    let sizes = |entry: &mut [u8]| entry[1..5].iter_mut().for_each(|byte| *byte ^= 0x55);
    site.partition.edit_header(0, 20, garble).unwrap();
    site.partition.edit_entry(0, 20, sizes).unwrap();
    site.partition.flip_data(0, 21, 9).unwrap();
    let venti = Venti::start();
    site.runs(&[&venti], 3);
    assert_eq!(site.holes(&venti), 2);
    assert_eq!(site.damages(&venti), 1, "{}", site.file("wrcmds"));

    // The first is there, by its score, and says nothing of the second.
    site.give(&venti, [site.score(0, 20)]);
    assert_eq!(site.ventiprog().run().status, 3);
    assert_eq!((site.holes(&venti), site.damages(&venti)), (1, 1));

    // Half of it is mended.
    site.partition.edit_header(0, 20, garble).unwrap();
    site.partition.edit_entry(0, 20, sizes).unwrap();
    assert_eq!(site.ventiprog().run().status, 3);
    assert_eq!((site.holes(&venti), site.damages(&venti)), (1, 1));

    site.partition.flip_data(0, 21, 9).unwrap();
    assert_eq!(site.ventiprog().run().status, 0);
    assert_eq!((site.holes(&venti), site.damages(&venti)), (0, 0));
}
