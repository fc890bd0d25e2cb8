//! What ventilag writes, as those see it who read it: promtool of Prometheus, and a
//! browser. Both are packages of Debian, prometheus and chromium.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use venti_tests::command;

use crate::fixture::watched::Watched;

/// Runs a program; nothing, and it is said, where it is not installed.
fn run(command: &mut Command, input: &str) -> Option<Output> {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            command::skipped(&format!("{:?}: {error}", command.get_program()));
            return None;
        }
    };
    let mut to = child.stdin.take().unwrap();
    to.write_all(input.as_bytes()).unwrap();
    drop(to);
    Some(child.wait_with_output().unwrap())
}

/// A browser without a window that reaches nothing but files.
fn browser(home: &Path) -> Command {
    let mut command = Command::new("chromium");
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--hide-scrollbars",
        "--allow-file-access-from-files",
        "--enable-logging=stderr",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]);
    let data = home.join("browser");
    command.arg(format!("--user-data-dir={}", data.display()));
    command
}

fn url(file: &Path) -> String {
    format!("file://{}", file.display())
}

#[test]
#[ignore = "needs promtool: cargo xtask test --real"]
fn promtool_finds_no_fault_in_the_metrics() {
    let watched = Watched::new();
    let metrics = watched.ventilag().args(["--metrics", "-"]).run().stdout;
    let mut promtool = Command::new("promtool");
    let Some(output) = run(promtool.args(["check", "metrics"]), &metrics) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{metrics}");
    assert_eq!(said, "");
    // It would find one.
    let mut promtool = Command::new("promtool");
    let spoilt = metrics
        .replacen("# TYPE", "# TIPE", 1)
        .replace("} 1\n", "} x\n");
    let output = run(promtool.args(["check", "metrics"]), &spoilt).unwrap();
    assert!(!output.status.success());
}

/// Frames the page at a width, and says of it what a script outside it can measure.
const FRAME: &str = r#"<!doctype html><body style="margin:0">
<iframe id="page" src="page.html" style="border:0;width:WIDTHpx;height:4000px"></iframe>
<script>
onload = () => {
  const page = document.getElementById("page").contentDocument;
  const box = (e) => e.getBoundingClientRect();
  const wide = [...page.querySelectorAll("body *")].filter((e) => box(e).right > WIDTH + 8);
  const small = [...page.querySelectorAll("p, td, th, h1, h2, span")];
  const rows = [...page.querySelectorAll(".row")].filter((row) => row.querySelector("svg"));
  const found = {
    heading: page.querySelector("h1").textContent,
    top: box(page.querySelector("h1")).top,
    scroll: page.documentElement.scrollWidth,
    wide: wide.map((e) => e.outerHTML.slice(0, 80)),
    smallest: Math.min(...small.map((e) => parseFloat(getComputedStyle(e).fontSize))),
    rows: rows.length,
    covered: rows.filter((row) => box(row.querySelector("p")).bottom > box(row.querySelector("svg")).top + 1).length,
    paper: getComputedStyle(page.body).backgroundColor,
  };
  document.body.textContent = "FOUND" + JSON.stringify(found) + "END";
};
</script>"#;

/// What the script has found at a width, in a light or a dark scheme.
fn found(watched: &Watched, width: u32, dark: bool) -> Option<serde_json::Value> {
    let directory = watched.site.path("browsed");
    let frame = directory.join(format!("frame{width}.html"));
    fs::write(&frame, FRAME.replace("WIDTH", &width.to_string())).unwrap();
    let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
    let mut command = browser(&directory);
    command.args([
        "--window-size=1400,4200",
        &scheme,
        "--dump-dom",
        &url(&frame),
    ]);
    let output = run(&mut command, "")?;
    let dom = String::from_utf8_lossy(&output.stdout)
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("CONSOLE"), "{said}");
    let json = dom
        .split_once("FOUND")
        .unwrap_or_else(|| panic!("{dom} {said}"))
        .1;
    Some(serde_json::from_str(json.split_once("END").unwrap().0).unwrap())
}

#[test]
#[ignore = "needs chromium: cargo xtask test --real"]
fn a_browser_shows_the_page_on_a_desk_and_on_a_phone_in_light_and_dark() {
    let watched = Watched::new();
    let directory = watched.site.path("browsed");
    fs::create_dir(&directory).unwrap();
    watched.page(&directory.join("page.html"));
    let mut papers = Vec::new();
    for (width, dark) in [(1280, false), (1280, true), (375, false), (375, true)] {
        let Some(found) = found(&watched, width, dark) else {
            return;
        };
        let heading = found["heading"].as_str().unwrap();
        assert!(
            heading.starts_with("Restore today: yes, from tcp!"),
            "{found}"
        );
        assert!(found["top"].as_f64().unwrap() < 60.0, "{found}");
        assert!(found["scroll"].as_u64().unwrap() <= width.into(), "{found}");
        assert_eq!(found["wide"], serde_json::json!([]), "{width}");
        assert!(found["smallest"].as_f64().unwrap() >= 12.0, "{found}");
        assert!(found["rows"].as_u64().unwrap() > 6, "{found}");
        assert_eq!(found["covered"], 0, "{found}");
        papers.push(found["paper"].clone());
    }
    assert_eq!((&papers[0], &papers[1]), (&papers[2], &papers[3]));
    assert_ne!(papers[0], papers[1], "light and dark");
}

/// What a page asks the network for while the browser makes something of it. What the
/// browser asks for by itself has no origin.
fn asked(directory: &Path, page: &Path, made: &str) -> Option<Vec<String>> {
    let log = directory.join("net.json");
    let mut command = browser(directory);
    command.arg(format!("--log-net-log={}", log.display()));
    command.args(["--window-size=1280,2400", made, &url(page)]);
    let output = run(&mut command, "")?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !said.contains("CONSOLE"),
        "{said}"
    );
    let events = fs::read_to_string(&log).unwrap();
    let of_page = events.lines().filter(|event| {
        let by_itself = event.contains("\"initiator\":\"not an origin\"");
        event.contains("\"initiator\":") && event.contains("\"url\":\"http") && !by_itself
    });
    Some(of_page.map(str::to_owned).collect())
}

#[test]
#[ignore = "needs chromium: cargo xtask test --real"]
fn a_browser_prints_the_page_and_asks_the_network_for_nothing() {
    let watched = Watched::new();
    let directory = watched.site.path("browsed");
    fs::create_dir(&directory).unwrap();
    let page = directory.join("page.html");
    let html = watched.page(&page);
    let [shot, paper] = ["page.png", "page.pdf"].map(|name| directory.join(name));
    for made in [
        format!("--screenshot={}", shot.display()),
        format!("--print-to-pdf={}", paper.display()),
    ] {
        let Some(asked) = asked(&directory, &page, &made) else {
            return;
        };
        assert_eq!(asked, Vec::<String>::new());
    }
    assert!(fs::metadata(&shot).unwrap().len() > 10_000);
    assert!(fs::read(&paper).unwrap().starts_with(b"%PDF-"));
    // One that asks is seen, where its policy does not forbid that.
    let policy = "http-equiv=\"Content-Security-Policy\"";
    let image = "<main><img alt=\"\" src=\"http://asked.example.org/\">";
    let asks = html
        .replace(policy, "name=\"none\"")
        .replace("<main>", image);
    fs::write(&page, asks).unwrap();
    let asked = asked(&directory, &page, "--dump-dom").unwrap();
    assert!(
        asked
            .iter()
            .any(|event| event.contains("asked.example.org")),
        "{asked:?}"
    );
}
