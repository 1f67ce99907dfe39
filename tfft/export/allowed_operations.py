"""The operations of exports, and others that compute and do nothing else.

Left out is what reads or writes files, opens connections, calls Python, loads other code, or takes
a path in an attribute, such as that of a description of messages. Datasets are left out too, for
most of them read files. tests/tasks/test_exports.py compares with exports of tasks.
"""

from __future__ import annotations

_NAMES = """
    Abs Acos Acosh Add AddN AddV2 Angle ApproximateEqual Asin Asinh Atan Atan2 Atanh BesselI0
    BesselI0e BesselI1 BesselI1e Betainc Bitcast BitwiseAnd BitwiseOr BitwiseXor Cast Ceil
    CheckNumerics ClipByValue Complex ComplexAbs Conj Cos Cosh Digamma Div DivNoNan Equal Erf
    Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual Igamma Igammac Imag Inv
    Invert IsFinite IsInf IsNan LeftShift Less LessEqual Lgamma Log Log1p LogicalAnd
    LogicalNot LogicalOr Maximum Minimum Mod Mul MulNoNan Ndtri Neg NextAfter NotEqual
    Polygamma PopulationCount Pow Real RealDiv Reciprocal RightShift Rint Round Rsqrt Select
    SelectV2 Sigmoid Sign Sin Sinh Sqrt Square SquaredDifference Sub Tan Tanh TruncateDiv
    TruncateMod Xdivy Xlog1py Xlogy Zeta

    All Any ArgMax ArgMin BiasAdd Bincount Bucketize Cumprod Cumsum CumulativeLogsumexp
    DenseBincount EuclideanNorm HistogramFixedWidth Max Mean Min Prod RaggedBincount
    SegmentMax SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2
    SegmentSum SegmentSumV2 Sum UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
    UnsortedSegmentSum

    BandedTriangularSolve BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky Cross Eig Einsum
    LinSpace LogMatrixDeterminant Lu MatMul MatrixBandPart MatrixDeterminant MatrixDiag
    MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3
    MatrixExponential MatrixInverse MatrixLogarithm MatrixSetDiag MatrixSetDiagV2
    MatrixSetDiagV3 MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve Qr
    SelfAdjointEigV2 Svd TridiagonalMatMul TridiagonalSolve

    BatchToSpace BatchToSpaceND BroadcastArgs BroadcastGradientArgs BroadcastTo
    CombinedNonMaxSuppression Concat ConcatOffset ConcatV2 Const DeepCopy DepthToSpace Diag
    DiagPart DynamicPartition DynamicStitch Empty EmptyTensorList EnsureShape ExpandDims
    ExtractImagePatches ExtractVolumePatches Fill Fingerprint Gather GatherNd GatherV2
    Identity IdentityN InplaceAdd InplaceSub InplaceUpdate InvertPermutation ListDiff
    LowerBound MirrorPad NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3
    NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps NthElement OneHot
    OnesLike Pack Pad PadV2 ParallelConcat ParallelDynamicStitch Placeholder
    PlaceholderWithDefault PreventGradient Range Rank Reshape Reverse ReverseSequence
    ReverseV2 Roll ScatterNd ScatterNdNonAliasingAdd Shape ShapeN Size Slice Snapshot
    SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice
    TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3
    TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3
    TensorListConcat TensorListConcatLists TensorListConcatV2 TensorListElementShape
    TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack
    TensorListPushBack TensorListPushBackBatch TensorListReserve TensorListResize
    TensorListScatter TensorListScatterIntoExistingList TensorListScatterV2 TensorListSetItem
    TensorListSplit TensorListStack TensorScatterAdd TensorScatterMax TensorScatterMin
    TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile TopK TopKV2 Transpose
    Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UpperBound Where
    XlaDynamicSlice XlaDynamicUpdateSlice ZerosLike

    DenseToDenseSetOperation DenseToSparseSetOperation RaggedCross RaggedGather RaggedRange
    RaggedTensorFromVariant RaggedTensorToSparse RaggedTensorToTensor RaggedTensorToVariant
    SetSize SparseAdd SparseConcat SparseDenseCwiseAdd SparseDenseCwiseDiv SparseDenseCwiseMul
    SparseFillEmptyRows SparseReduceMax SparseReduceSum SparseReorder SparseReshape
    SparseSegmentMean SparseSegmentSqrtN SparseSegmentSum SparseSlice SparseSoftmax
    SparseSplit SparseTensorDenseAdd SparseTensorDenseMatMul SparseToDense
    SparseToSparseSetOperation

    AvgPool AvgPool3D BatchNormWithGlobalNormalization Conv2D Conv2DBackpropFilter
    Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 DepthwiseConv2dNative Dilation2D Elu
    FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel
    FractionalAvgPool FractionalMaxPool FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3
    FusedPadConv2D InTopK InTopKV2 L2Loss LRN LeakyRelu LogSoftmax MaxPool MaxPool3D MaxPoolV2
    MaxPoolWithArgmax QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
    Relu Relu6 Selu Softmax SoftmaxCrossEntropyWithLogits Softplus Softsign
    SparseSoftmaxCrossEntropyWithLogits XlaConvV2 XlaDot XlaDotV2 XlaEinsum XlaPad XlaReduce
    XlaSort

    AdjustContrastv2 AdjustHue AdjustSaturation AudioSpectrogram CropAndResize
    DecodeAndCropJpeg DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePng DecodeWav
    DecodeWebP DrawBoundingBoxes DrawBoundingBoxesV2 EncodeJpeg EncodePng EncodeWav
    ExtractGlimpseV2 ExtractJpegShape FFT FFT2D FFT3D FFTND HSVToRGB IFFT IFFT2D IFFT3D IRFFT
    IRFFT2D IRFFT3D ImageProjectiveTransformV2 ImageProjectiveTransformV3 Mfcc RFFT RFFT2D
    RFFT3D RGBToHSV ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
    ScaleAndTranslate

    AsString DecodeBase64 DecodeCSV DecodeCompressed DecodeJSONExample DecodePaddedRaw
    DecodeRaw EncodeBase64 ParseExample ParseExampleV2 ParseSingleExample ReduceJoin
    RegexFullMatch RegexReplace SerializeTensor StaticRegexFullMatch StaticRegexReplace
    StringFormat StringJoin StringLength StringLower StringNGrams StringSplit StringSplitV2
    StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong
    StringToNumber StringUpper Substr UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode
    UnicodeScript UnicodeTranscode UnsortedSegmentJoin

    CaseFoldUTF8 FastBertNormalize FastWordpieceTokenizeWithOffsets FindSourceOffsets
    NormalizeUTF8 NormalizeUTF8WithOffsetsMap RegexSplitWithOffsets SentencepieceDetokenizeOp
    SentencepieceIdToStringOp SentencepieceOp SentencepieceStringToIdOp
    SentencepieceTokenizeOp SentencepieceTokenizeWithOffsetsOp SentencepieceVocabSizeOp
    SplitMergeTokenizeWithOffsets UnicodeScriptTokenizeWithOffsets
    WhitespaceTokenizeWithOffsets WordpieceTokenizeWithOffsets

    Multinomial RandomGamma RandomPoissonV2 RandomShuffle RandomStandardNormal RandomUniform
    RandomUniformInt RngReadAndSkip StatefulStandardNormalV2 StatefulUniform
    StatefulUniformInt StatelessMultinomial StatelessRandomBinomial StatelessRandomGammaV2
    StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg
    StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomUniform
    StatelessRandomUniformFullInt StatelessRandomUniformInt StatelessRandomUniformIntV2
    StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal
    StatelessTruncatedNormalV2 TruncatedNormal

    AnonymousHashTable AnonymousMutableDenseHashTable AnonymousMutableHashTable
    AnonymousMutableHashTableOfTensors Assert AssignAddVariableOp AssignSubVariableOp
    AssignVariableOp Case DisableCopyOnRead HashTableV2 If InitializeTableV2
    LookupTableExportV2 LookupTableFindV2 LookupTableImportV2 LookupTableInsertV2
    LookupTableRemoveV2 LookupTableSizeV2 MutableDenseHashTableV2 MutableHashTableOfTensorsV2
    MutableHashTableV2 NoOp PartitionedCall ReadVariableOp ResourceGather ResourceGatherNd
    StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile VarHandleOp
    VarIsInitializedOp VariableShape While
"""
OPERATIONS = frozenset(_NAMES.split())
# The kinds of Python objects that loading makes.
IDENTIFIERS = frozenset(
    ("_generic_user_object", "signature_map", "trackable_dict_wrapper", "trackable_list_wrapper")
    + ("trackable_tuple_wrapper",)
)
