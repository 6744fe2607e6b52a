//! A table of the same work done in two ways, with the ratio that is to be compared between machines.

/// Rows in the order in which they were first measured.
pub(crate) struct Table {
    /// What the first column is of: the plain way.
    plain: &'static str,
    /// What the second column is of: ours.
    ours: &'static str,
    rows: Vec<Row>,
}

struct Row {
    what: &'static str,
    unit: &'static str,
    plain: Vec<f64>,
    ours: Vec<f64>,
}

impl Table {
    pub(crate) fn new(plain: &'static str, ours: &'static str) -> Self {
        Self { plain, ours, rows: Vec::new() }
    }

    /// Measures both ways, one after the other.
    pub(crate) fn measure(
        &mut self,
        what: &'static str,
        unit: &'static str,
        plain: impl FnOnce() -> f64,
        ours: impl FnOnce() -> f64,
    ) {
        let (plain, ours) = (plain(), ours());
        self.add(what, unit, Some(plain), ours);
    }

    /// Adds a measurement to its row; the row shows the median of all.
    pub(crate) fn add(&mut self, what: &'static str, unit: &'static str, plain: Option<f64>, ours: f64) {
        let at = self.rows.iter().position(|row| row.what == what).unwrap_or_else(|| {
            self.rows.push(Row { what, unit, plain: Vec::new(), ours: Vec::new() });
            self.rows.len() - 1
        });
        if let Some(row) = self.rows.get_mut(at) {
            row.plain.extend(plain);
            row.ours.push(ours);
        }
    }

    pub(crate) fn print(&self) {
        println!("{:54} {:>10} {:>10}  {:5} {:>6}", "", self.plain, self.ours, "", "ratio");
        for row in &self.rows {
            let (plain, ours) = (median(&row.plain), median(&row.ours).unwrap_or_default());
            let shown = plain.map_or_else(|| "-".to_owned(), number);
            let ratio = plain.filter(|plain| *plain > 0.0).map(|plain| format!("{:.1}", ours / plain));
            println!(
                "{:54} {shown:>10} {:>10}  {:5} {:>6}",
                row.what,
                number(ours),
                row.unit,
                ratio.unwrap_or_default()
            );
        }
    }
}

/// Small figures keep a digit behind the point, or their ratio could not be followed.
fn number(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

/// The middle one of several measurements.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    percentile(values, 0.5)
}

/// The value that this part (0 to 1) of the measurements does not exceed.
pub(crate) fn percentile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied()
}
