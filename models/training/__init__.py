"""Training of the shipped topic model: ``wirewatch topics train``, with the extra [train].

    data         passages and labels from the files
    folds        document-disjoint folds, near-identical texts kept together
    encoder      the fine-tuning, with a checkpoint each epoch
    first_stage  the small graph that spares the encoder most passages
    judge        the larger encoder that decides what the encoder is unsure of
    export       trained weights to ONNX, int8
    calibrate    scaling and thresholds from held-back logits, and their figures
    heads        heads.json
    card         card.md from the figures
    run          all of it, in steps that a second start does not repeat

Only encoder, first_stage, judge, export and run need torch.
"""
