//! Writes `firmware-example/digits.tnet`, a nearest-centroid classifier of the bundled digits:
//! `cargo run --release -p thumbnet-tests --example centroids`, after a change of the blob's format.

use thumbnet_runtime::{
    Activation, DenseSpec, LayerSpec, Model, ModelSpec, OutputSpec, Packing, Precision, SelfTest,
    WeightsSpec, encode, encoded_len,
};

fn main() {
    let text =
        std::fs::read_to_string("trainer/data/digits.csv").expect("started in the workspace");
    let fields = |line: &str| {
        line.split(',')
            .map(|v| v.parse().expect("a number"))
            .collect()
    };
    let rows: Vec<Vec<f64>> = text.lines().skip(1).map(fields).collect();

    let mut sums = [[0f64; 64]; 10];
    let mut counts = [0f64; 10];
    for row in &rows[..1500] {
        let class = row[64] as usize;
        counts[class] += 1.0;
        sums[class]
            .iter_mut()
            .zip(row)
            .for_each(|(sum, x)| *sum += x);
    }
    // The nearest centroid c has the greatest 2 c·x - |c|^2; x = (q + 127) / 15.875 is 0 to 16.
    let (step, unit) = (15.875, 127.0 / 32.0);
    let (mut weights, mut bias) = (Vec::new(), Vec::new());
    for (sums, count) in sums.iter().zip(counts) {
        let row = sums.map(|sum| (2.0 * sum / count * unit).round() as i8);
        let norm: f64 = sums.iter().map(|sum| (sum / count).powi(2)).sum();
        let sum: i32 = row.iter().map(|&w| i32::from(w)).sum();
        bias.push(127 * sum - (norm * unit * step).round() as i32);
        weights.extend(row);
    }
    let scales = [(1.0 / (unit * step) / 40.0) as f32; 10];
    let layers = [
        LayerSpec::Quantize {
            inputs: 64,
            scale: &[1.0 / step],
            zero_point: &[-127],
            output: Precision::Int8,
        },
        LayerSpec::Dense(DenseSpec {
            inputs: 64,
            units: 10,
            packing: Packing::Dsp,
            weights: WeightsSpec::Int8 {
                weights: &weights,
                bias: &bias,
            },
            output: OutputSpec::Float {
                scales: &scales,
                activation: Activation::Softmax,
                table: None,
            },
        }),
    ];
    let labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let mut spec = ModelSpec {
        layers: &layers,
        labels: &labels,
        ..ModelSpec::default()
    };
    let write = |spec: &ModelSpec| {
        let mut blob = vec![0; encoded_len(spec).expect("a sound model")];
        encode(spec, &mut blob).expect("a sound model");
        blob
    };
    let blob = write(&spec);
    let model: Model = Model::from_bytes(&blob).expect("it was just written");
    let (mut scratch, mut y, mut sums) = (vec![0; model.scratch_len()], [0.0; 10], [0; 2]);
    let x: Vec<f32> = rows[0][..64].iter().map(|&x| x as f32).collect();
    model
        .checksums(&x, &mut scratch, &mut y, &mut sums)
        .expect("finite inputs");
    let test = [SelfTest {
        inputs: &x,
        outputs: &y,
        checksums: &sums,
    }];
    spec.self_tests = &test;
    std::fs::write("firmware-example/digits.tnet", write(&spec)).expect("a writable folder");
}
