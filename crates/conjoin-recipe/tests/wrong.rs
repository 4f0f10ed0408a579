//! Wrong recipes and what is said about them. Each case is a file `tests/wrong/NAME.toml` with its
//! messages in `NAME.txt`; `CONJOIN_BLESS=1 cargo test` writes the messages anew, to be read as a
//! user would before they are kept.
//!
//! Lines `#! set KEY=VALUE` and `#! arm NAME` at the top are what stands on the command line.

use std::fs;
use std::path::Path;

fn run(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    let text = fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
    let options = || text.lines().map_while(|line| line.strip_prefix("#! "));
    let sets: Vec<String> = options()
        .filter_map(|line| line.strip_prefix("set "))
        .map(str::to_owned)
        .collect();
    let arm = options().find_map(|line| line.strip_prefix("arm "));
    let found = match conjoin_recipe::check(&text, "recipe.toml", &sets, &[], arm) {
        Ok(checked) => checked.warnings,
        Err(found) => {
            assert!(found.has_errors());
            found
        }
    };
    assert!(
        !found.is_empty(),
        "{name} is a wrong recipe, but nothing was found"
    );
    for report in found.reports() {
        assert!(report.line >= 1 && report.column >= 1);
        assert!(!found.draw(false, 100).is_empty());
    }
    let golden = folder.join(format!("{name}.txt"));
    let plain = found.to_string();
    if std::env::var_os("CONJOIN_BLESS").is_some() {
        fs::write(&golden, &plain).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(
        plain, expected,
        "{name}: messages differ; CONJOIN_BLESS=1 writes them anew"
    );
}

macro_rules! wrong {
    ($($test:ident: $name:literal;)+) => {
        $( #[test] fn $test() { run($name); } )+

        #[test]
        fn every_file_is_a_case() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
            let mut files: Vec<String> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned()))
                .collect();
            files.sort();
            let mut cases = [$($name),+];
            cases.sort_unstable();
            assert_eq!(files, cases);
        }
    };
}

wrong! {
    syntax: "01-syntax";
    duplicate_key: "02-duplicate-key";
    number_too_large: "03-number-too-large";
    empty_file: "04-empty-file";
    unknown_section: "05-unknown-section";
    section_no_table: "06-section-no-table";
    name_wrong_type: "07-name-wrong-type";
    unknown_key_node: "08-unknown-key-node";
    unknown_key_strange: "09-unknown-key-strange";
    unknown_keys_everywhere: "10-unknown-keys-everywhere";
    missing_keys: "11-missing-keys";
    wrong_types: "12-wrong-types";
    kind_misspelt: "13-kind-misspelt";
    kind_unknown: "14-kind-unknown";
    kind_missing: "15-kind-missing";
    kind_wrong_type: "16-kind-wrong-type";
    choice_misspelt: "17-choice-misspelt";
    schedule_kind: "18-schedule-kind";
    optimiser_options: "19-optimiser-options";
    input_form: "20-input-form";
    input_unquoted: "21-input-unquoted";
    wire_form: "22-wire-form";
    bad_names: "23-bad-names";
    node_called_data: "24-node-called-data";
    lr_form: "25-lr-form";
    unknown_node: "26-unknown-node";
    unknown_output: "27-unknown-output";
    unknown_input: "28-unknown-input";
    unknown_column: "29-unknown-column";
    missing_input: "30-missing-input";
    cycle: "31-cycle";
    self_cycle: "32-self-cycle";
    meaning_mismatch: "33-meaning-mismatch";
    rank_mismatch: "34-rank-mismatch";
    size_mismatch: "35-size-mismatch";
    node_options: "36-node-options";
    unused_node: "37-unused-node";
    node_not_covered: "38-node-not-covered";
    node_twice: "39-node-twice";
    node_not_on_route: "40-node-not-on-route";
    unknown_trained_node: "41-unknown-trained-node";
    nothing_trained: "42-nothing-trained";
    unknown_objective: "43-unknown-objective";
    duplicate_stage: "44-duplicate-stage";
    length: "45-length";
    ranges: "46-ranges";
    schedule_options: "47-schedule-options";
    schedule_incompatible: "48-schedule-incompatible";
    schedule_vocabulary: "49-schedule-vocabulary";
    stage_input_unknown: "50-stage-input-unknown";
    stage_input_required: "51-stage-input-required";
    stage_input_contract: "52-stage-input-contract";
    stop_gradient: "53-stop-gradient";
    updates: "54-updates";
    tables_by_node: "55-tables-by-node";
    evaluate: "56-evaluate";
    early_stopping_alone: "57-early-stopping-alone";
    evaluate_columns: "58-evaluate-columns";
    gate: "59-gate";
    gate_order_in_arm: "60-gate-order-in-arm";
    weights_missing: "61-weights-missing";
    shared_node: "62-shared-node";
    loss_meaning: "63-loss-meaning";
    loss_vocabulary: "64-loss-vocabulary";
    loss_shape: "65-loss-shape";
    objective_port: "66-objective-port";
    task_ports: "67-task-ports";
    task_vocabulary: "68-task-vocabulary";
    task_unknown: "69-task-unknown";
    not_steppable: "70-not-steppable";
    task_tokens_apart: "71-task-tokens-apart";
    score: "72-score";
    data_options: "73-data-options";
    data_batch_column: "74-data-batch-column";
    data_file_missing: "75-data-file-missing";
    data_source_missing: "76-data-source-missing";
    images_folder: "77-images-folder";
    images_contracts: "78-images-contracts";
    images_wire: "79-images-wire";
    images_column_here_only: "80-images-column-here-only";
    images_data: "81-images-data";
    arms: "82-arms";
    arms_form: "83-arms-form";
    arm_unknown: "84-arm-unknown";
    syntax_apart: "85-syntax-apart";
    table_twice: "86-table-twice";
    four_at_once: "87-four-at-once";
    optimiser_ranges: "88-optimiser-ranges";
    huber: "89-huber";
    node_in_freeze_and_train: "90-node-in-freeze-and-train";
    import_keys: "91-import-keys";
    regularise_frozen: "92-regularise-frozen";
    set_unknown_stage: "93-set-unknown-stage";
    set_wrong_value: "94-set-wrong-value";
    set_form: "95-set-form";
    random_columns: "96-random-columns";
    precision: "97-precision";
    parallel_files_missing: "98-parallel-files-missing";
    parallel_options: "99-parallel-options";
    parallel_tokenizer: "100-parallel-tokenizer";
    task_text: "101-task-text";
    averages: "102-averages";
    schedules_that_fall: "103-schedules-that-fall";
    search_beam: "104-search-beam";
    search_greedy: "105-search-greedy";
    search_sampling: "106-search-sampling";
    recurrent_context: "107-recurrent-context";
    tied_in_one_stage: "108-tied-in-one-stage";
    tied_meaning: "109-tied-meaning";
    tied_size: "110-tied-size";
    tied_table: "111-tied-table";
    tied_to_frozen: "112-tied-to-frozen";
    tied_unknown: "113-tied-unknown";
    tied_vocabulary: "114-tied-vocabulary";
    bird_calibration: "120-bird-calibration";
    bird_recording: "121-bird-recording";
    bird_views: "122-bird-views";
    bird_other_frame: "123-bird-other-frame";
    bird_other_cells: "124-bird-other-cells";
    bird_frames_of_a_loss: "125-bird-frames-of-a-loss";
    bird_losses: "126-bird-losses";
    bird_first: "127-bird-first";
    oracle: "200-oracle";
    node_names_taken: "201-node-names-taken";
    arm_epochs: "202-arm-epochs";
    oracle_unused: "203-oracle-unused";
    driving_task: "204-driving-task";
    lerobot: "300-lerobot";
    driving_nodes: "150-driving-nodes";
    driving_losses: "151-driving-losses";
}
