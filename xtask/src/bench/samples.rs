//! What was measured, and the two figures that are made of it: medians, and medians of ratios.

use std::collections::BTreeMap;

/// The numbers of one measurement, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample(BTreeMap<String, f64>);

impl Sample {
    /// Reads `name value` lines.
    pub fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Sample(pairs.collect())
    }

    pub fn get(&self, key: &str) -> Option<f64> {
        self.0.get(key).copied()
    }

    pub fn insert(&mut self, key: &str, value: f64) {
        self.0.insert(key.to_owned(), value);
    }
}

/// One number of one contender, by round.
pub type Values = BTreeMap<usize, f64>;

/// All samples of a run.
#[derive(Debug, Default)]
pub struct Samples {
    /// By metric, contender and round.
    samples: BTreeMap<(&'static str, &'static str, usize), Sample>,
    /// What did not work, and whose it was: how often, and the first one's words.
    failures: BTreeMap<String, (usize, String)>,
    /// What differs from what was asked for, in the words of the report.
    pub notes: Vec<String>,
}

impl Samples {
    pub fn add(
        &mut self,
        metric: &'static str,
        contender: &'static str,
        round: usize,
        sample: Sample,
    ) {
        self.samples.insert((metric, contender, round), sample);
    }

    /// Notes that `what` failed.
    pub fn failed(&mut self, what: String, error: &str) {
        self.failures.entry(what).or_insert_with(|| (0, error.to_owned())).0 += 1;
    }

    /// What failed, a line each.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.failures
            .iter()
            .map(|(what, (count, first))| format!("Failed {count} times: {what}: {first}"))
    }

    /// One number of one contender, by round.
    pub fn values(&self, metric: &str, contender: &str, key: &str) -> Values {
        self.samples
            .iter()
            .filter(|((of, by, _), _)| *of == metric && *by == contender)
            .filter_map(|((_, _, round), sample)| Some((*round, sample.get(key)?)))
            .collect()
    }

    /// Whether anything was measured of this metric, and by this contender if one is named.
    pub fn has(&self, metric: &str, contender: Option<&str>) -> bool {
        self.samples
            .keys()
            .any(|(of, by, _)| *of == metric && contender.is_none_or(|contender| contender == *by))
    }

    /// How many samples there are of loads, and how many of them while others used the machine.
    pub fn contended(&self) -> (usize, usize) {
        let loads: Vec<f64> =
            self.samples.values().filter_map(|sample| sample.get("contended")).collect();
        (loads.len(), loads.iter().filter(|contended| **contended > 0.0).count())
    }
}

/// Lower quartile, median and upper quartile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub lower: f64,
    pub median: f64,
    pub upper: f64,
}

/// The spread of some numbers, if there are any.
pub fn spread(numbers: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    (!sorted.is_empty()).then(|| Spread { lower: at(0.25), median: at(0.5), upper: at(0.75) })
}

/// The median of some numbers, if there are any.
pub fn median(values: &Values) -> Option<f64> {
    spread(values.values().copied()).map(|spread| spread.median)
}

/// The ratio of two contenders, over the rounds in which both were measured.
pub fn ratio(values: &Values, against: &Values) -> Option<Spread> {
    spread(values.iter().filter_map(|(round, value)| {
        let other = against.get(round).filter(|other| **other > 0.0)?;
        Some(value / other)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(numbers: &[f64]) -> Values {
        numbers.iter().copied().enumerate().collect()
    }

    #[test]
    fn a_median_lies_in_the_middle_whatever_the_order() {
        assert_eq!(median(&values(&[9.0, 1.0, 2.0])), Some(2.0));
        assert_eq!(median(&values(&[4.0, 1.0, 2.0, 3.0])), Some(2.5));
        assert_eq!(median(&values(&[])), None);
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_own_ratios() {
        // The machine was twice as fast in the second round: the ratio does not see it.
        let ratio = ratio(&values(&[10.0, 20.0, 11.0]), &values(&[5.0, 10.0, 5.0])).unwrap();
        assert_eq!(ratio.median, 2.0);
    }

    #[test]
    fn a_round_that_one_of_the_two_missed_does_not_count() {
        let against = Values::from([(1, 10.0), (7, 10.0)]);
        assert_eq!(ratio(&values(&[90.0, 20.0]), &against).unwrap().median, 2.0);
        assert_eq!(ratio(&values(&[1.0]), &Values::new()), None);
        assert_eq!(ratio(&values(&[1.0]), &values(&[0.0])), None);
    }

    #[test]
    fn numbers_are_read_from_lines_and_other_lines_are_not() {
        let sample = Sample::parse("gbit_s 12.5\nwhat is this\nerrors 0\n");
        assert_eq!(sample.get("gbit_s"), Some(12.5));
        assert_eq!(sample.get("errors"), Some(0.0));
        assert_eq!(sample.get("what"), None);
    }

    #[test]
    fn samples_are_told_apart_by_metric_contender_and_round() {
        let mut samples = Samples::default();
        samples.add("conn", "nginx", 0, Sample::parse("per_s 1\ncontended 0"));
        samples.add("conn", "nginx", 3, Sample::parse("per_s 2\ncontended 1"));
        samples.add("conn", "haproxy", 0, Sample::parse("per_s 3"));
        assert_eq!(samples.values("conn", "nginx", "per_s"), Values::from([(0, 1.0), (3, 2.0)]));
        assert!(samples.has("conn", Some("haproxy")) && !samples.has("pp1", None));
        assert_eq!(samples.contended(), (2, 1));
    }

    #[test]
    fn what_fails_in_each_round_is_told_once() {
        let mut samples = Samples::default();
        samples.failed("nginx, conn".to_owned(), "process 7 ended");
        samples.failed("nginx, conn".to_owned(), "process 8 ended");
        let told: Vec<_> = samples.failures().collect();
        assert_eq!(told, ["Failed 2 times: nginx, conn: process 7 ended"]);
    }
}
