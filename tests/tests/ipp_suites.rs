//! The test suites of the Printer Working Group, as they come with CUPS: what a printer must do to be added by anybody.

use cardinal_tests::{host::Host, ipptool};

/// A queue that passes jobs straight on: the suites wait for jobs to be printed.
const DIRECT: &str = r#"
[[printer]]
name = "west"
uri = "folder:./west"
[[queue]]
name = "direct"
hold = false
printer = "west"
"#;

#[tokio::test]
async fn a_queue_passes_the_suites_of_ipp_and_of_ipp_everywhere() {
    let host = Host::start().await;
    host.apply(DIRECT).await;
    for (version, suite) in [("1.1", "ipp-1.1"), ("2.0", "ipp-2.0"), ("2.0", "ipp-everywhere")] {
        let folder = tempfile::tempdir().unwrap();
        let report = ipptool::suite(&host.queue("direct"), version, suite, folder.path()).await.ok();
        let count = |outcome: &str| report.matches(&format!("[{outcome}]")).count();
        assert_eq!(count("FAIL"), 0, "{report}");
        // As docs/printing.md says. Fewer would mean that the suite looked at less.
        assert!(count("PASS") >= 46 && count("SKIP") <= 20, "{report}");
    }
}
