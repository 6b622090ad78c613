"""Data sets of labelled images, one entry each; sizes from their own pages, addresses from torchvision and torchgeo."""

from benchmarks.data.catalogue import readers
from benchmarks.data.catalogue.entry import DataSet, Download
from benchmarks.records.names import PAPER_BASE

FLOWERS_PAGES = ("https://www.robots.ox.ac.uk/~vgg/data/flowers/102/", "https://thor.robots.ox.ac.uk/flowers/102/")
RESISC45_PAGE = "https://hf.co/datasets/torchgeo/resisc45/resolve/a826b44d938a883185f11ebe3d512d38b464312f/"
GTSRB_PAGE = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
MNIST_PAGES = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
USPS_PAGE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"

FLOWERS = DataSet(
    name="flowers",
    title="Flowers102",
    folder="flowers",
    classes=102,
    counts={"train": 1020, "val": 1020, "test": 6149},  # the test split is the large one
    read=readers.flowers,
    needs=("flowers-102/jpg", "flowers-102/imagelabels.mat", "flowers-102/setid.mat"),
    licence="none stated; research",
    val="val",
    checksums={
        "flowers-102/imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
        "flowers-102/setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
    },
    downloads=(
        Download(
            path="flowers-102/102flowers.tgz",
            urls=tuple(f"{page}102flowers.tgz" for page in FLOWERS_PAGES),
            digest="md5:52808999861908f626f3c1f4e79d11fa",
            at_most_mb=400,
            unpack_to="flowers-102",
        ),
        Download(
            path="flowers-102/imagelabels.mat",
            urls=tuple(f"{page}imagelabels.mat" for page in FLOWERS_PAGES),
            digest="md5:e0620be6f572b9609742df49c70aed4d",
            at_most_mb=1,
        ),
        Download(
            path="flowers-102/setid.mat",
            urls=tuple(f"{page}setid.mat" for page in FLOWERS_PAGES),
            digest="md5:a5357ecc9cb78c4bef273ce3793fc85c",
            at_most_mb=1,
        ),
    ),
)

AIRCRAFT = DataSet(
    name="aircraft",
    title="FGVC-Aircraft, variants",
    folder="aircraft",
    classes=100,
    counts={"train": 3334, "val": 3333, "test": 3333},
    read=readers.aircraft,
    needs=("fgvc-aircraft-2013b/data/images", "fgvc-aircraft-2013b/data/variants.txt"),
    licence="non-commercial research",
    val="val",
    downloads=(
        Download(
            path="fgvc-aircraft-2013b.tar.gz",
            urls=("https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",),
            digest="md5:d4acdd33327262359767eeaa97a4f732",
            unpack_to=".",
        ),
    ),
)

CARS = DataSet(
    name="cars",
    title="Stanford Cars",
    folder="cars",
    classes=196,
    counts={"train": 8144, "test": 8041},
    read=readers.cars,
    needs=("stanford_cars/devkit/cars_train_annos.mat", "stanford_cars/cars_test_annos_withlabels.mat"),
    licence="non-commercial research",
    recipe=(
        "The official address is dead since 2023 (pytorch/vision issue 7545). Log in at "
        "kaggle.com/datasets/jessicali9530/stanford-cars-dataset, download, and move the images so that "
        "{folder}/stanford_cars/cars_train/00001.jpg and cars_test/00001.jpg exist: the archive nests each folder in "
        "itself. Take car_devkit.tgz and cars_test_annos_withlabels.mat from that issue; the first unpacks to "
        "{folder}/stanford_cars/devkit, the second lies beside it. Then check."
    ),
)

STL10 = DataSet(
    name="stl10",
    title="STL-10 (images from ImageNet: they overlap the base task)",
    folder="stl10",
    classes=10,
    counts={"train": 5000, "test": 8000},
    read=readers.stl10,
    needs=("stl10_binary/train_X.bin", "stl10_binary/test_X.bin"),
    licence="ImageNet terms; research",
    checksums={
        "stl10_binary/train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
        "stl10_binary/train_y.bin": "5a34089d4802c674881badbb80307741",
        "stl10_binary/test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
        "stl10_binary/test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
    },
    downloads=(
        Download(
            path="stl10_binary.tar.gz",
            urls=(
                "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
                "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
            ),
            digest="md5:91f7769df0f17e558f3565bffb0c7dfb",
            unpack_to=".",
        ),
    ),
)

RESISC45 = DataSet(
    name="resisc45",
    title="NWPU-RESISC45",
    folder="resisc45",
    classes=45,
    counts={"train": 18900, "val": 6300, "test": 6300},
    read=readers.resisc45,
    needs=("NWPU-RESISC45", "resisc45-train.txt", "resisc45-val.txt", "resisc45-test.txt"),
    licence="none stated; research",
    val="val",
    checksums={
        "resisc45-train.txt": "b5a4c05a37de15e4ca886696a85c403e",
        "resisc45-val.txt": "a0770cee4c5ca20b8c32bbd61e114805",
        "resisc45-test.txt": "3dda9e4988b47eb1de9f07993653eb08",
    },
    downloads=(
        Download(
            path="NWPU-RESISC45.zip",
            urls=(f"{RESISC45_PAGE}NWPU-RESISC45.zip",),
            digest="md5:75206b2e16446591afa88e2628744886",
            at_most_mb=600,
            unpack_to=".",
        ),
        *(
            Download(
                path=f"resisc45-{split}.txt",
                urls=(f"{RESISC45_PAGE}resisc45-{split}.txt",),
                digest=f"md5:{md5}",
                at_most_mb=2,
            )
            for split, md5 in (
                ("train", "b5a4c05a37de15e4ca886696a85c403e"),
                ("val", "a0770cee4c5ca20b8c32bbd61e114805"),
                ("test", "3dda9e4988b47eb1de9f07993653eb08"),
            )
        ),
    ),
)

GTSRB = DataSet(
    name="gtsrb",
    title="German Traffic Signs, the `fixed` training archive that torchvision loads",
    folder="gtsrb",
    classes=43,
    counts={"train": 26640, "test": 12630},  # the full training set has 39,209
    read=readers.gtsrb,
    needs=("gtsrb/GTSRB/Training", "gtsrb/GTSRB/Final_Test/Images", "gtsrb/GT-final_test.csv"),
    licence="none stated; research",
    held_by="track",  # 30 near-identical frames of one sign: a random split leaks
    downloads=(
        Download(
            path="gtsrb/GTSRB-Training_fixed.zip",
            urls=(f"{GTSRB_PAGE}GTSRB-Training_fixed.zip",),
            digest="md5:513f3c79a4c5141765e10e952eaa2478",
            at_most_mb=200,
            unpack_to="gtsrb",
        ),
        Download(
            path="gtsrb/GTSRB_Final_Test_Images.zip",
            urls=(f"{GTSRB_PAGE}GTSRB_Final_Test_Images.zip",),
            digest="md5:c7e4e6327067d32654124b0fe9e82185",
            at_most_mb=100,
            unpack_to="gtsrb",
        ),
        Download(
            path="gtsrb/GTSRB_Final_Test_GT.zip",
            urls=(f"{GTSRB_PAGE}GTSRB_Final_Test_GT.zip",),
            digest="md5:fe31e9c9270bbcd7b84b7f21a9d9d9e5",
            at_most_mb=1,
            unpack_to="gtsrb",
        ),
    ),
)

DTD = DataSet(
    name="dtd",
    title="Describable Textures, partition 1 of 10",
    folder="dtd",
    classes=47,
    counts={"train": 1880, "val": 1880, "test": 1880},
    read=readers.dtd,
    needs=("dtd/dtd/images", "dtd/dtd/labels/train1.txt"),
    licence="research",
    val="val",
    downloads=(
        Download(
            path="dtd/dtd-r1.0.1.tar.gz",
            urls=(
                "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",
                "https://thor.robots.ox.ac.uk/datasets/dtd/dtd-r1.0.1.tar.gz",
            ),
            digest="md5:fff73e5086ae6bdbea199a49dfb8a4c1",
            at_most_mb=700,
            unpack_to="dtd",
        ),
    ),
)

SVHN = DataSet(
    name="svhn",
    title="Street View House Numbers, cropped digits",
    folder="svhn",
    classes=10,
    counts={"train": 73257, "test": 26032},
    read=readers.svhn,
    needs=("train_32x32.mat", "test_32x32.mat"),
    licence="non-commercial",
    checksums={
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    },
    downloads=tuple(
        Download(
            path=f"{split}_32x32.mat",
            urls=(f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat",),
            digest=f"md5:{md5}",
            at_most_mb=200,
        )
        for split, md5 in (
            ("train", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test", "eb5a983be6a315427106f1b164d9cef3"),
        )
    ),
)

CIFAR10_BATCHES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
CIFAR100_BATCHES = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}


def _cifar(classes: int, folder: str, batches: dict[str, str], md5: str) -> DataSet:
    archive = f"cifar-{classes}-python.tar.gz"
    pages = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
    return DataSet(
        name=f"cifar{classes}",
        title=f"CIFAR-{classes}",
        folder=f"cifar{classes}",
        classes=classes,
        counts={"train": 50000, "test": 10000},
        read=readers.cifar10 if classes == 10 else readers.cifar100,
        needs=(folder,),
        licence="none stated; research",
        checksums={f"{folder}/{name}": each for name, each in batches.items()},
        downloads=(
            Download(
                path=archive,
                urls=tuple(f"{page}{archive}" for page in pages),
                digest=f"md5:{md5}",
                unpack_to=".",
                at_most_mb=200,
            ),
        ),
    )


CIFAR10 = _cifar(10, "cifar-10-batches-py", CIFAR10_BATCHES, "c58f30108f718f92721af3b95e74349a")
CIFAR100 = _cifar(100, "cifar-100-python", CIFAR100_BATCHES, "eb9058c3a382ffc7106e4002c42a8d85")

MNIST = DataSet(
    name="mnist",
    title="MNIST",
    folder="mnist",
    classes=10,
    counts={"train": 60000, "test": 10000},
    read=readers.mnist,
    needs=tuple(
        f"MNIST/raw/{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    ),
    licence="CC BY-SA 3.0",
    downloads=tuple(
        Download(
            path=f"MNIST/raw/{name}-ubyte.gz",
            urls=tuple(f"{page}{name}-ubyte.gz" for page in MNIST_PAGES),
            digest=f"md5:{md5}",
            unpack_to="MNIST/raw",
            at_most_mb=10,
        )
        for name, md5 in (
            ("train-images-idx3", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1", "ec29112dd5afa0611ce80d1b7f02629c"),
        )
    ),
)

USPS = DataSet(
    name="usps",
    title="USPS digits, 16 pixels",
    folder="usps",
    classes=10,
    counts={"train": 7291, "test": 2007},
    read=readers.usps,
    needs=("usps.bz2", "usps.t.bz2"),
    licence="none stated; research",
    checksums={"usps.bz2": "ec16c51db3855ca6c91edd34d0e9b197", "usps.t.bz2": "8ea070ee2aca1ac39742fdd1ef5ed118"},
    downloads=tuple(
        Download(path=name, urls=(f"{USPS_PAGE}{name}",), digest=f"md5:{md5}", at_most_mb=7)
        for name, md5 in (
            ("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),
            ("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"),
        )
    ),
)

IMAGENET = DataSet(
    name="imagenet",
    title="ImageNet-1k (ILSVRC 2012)",
    folder="imagenet",
    classes=1000,
    counts={"train": 1281167, "val": 50000},
    read=readers.imagenet,
    needs=("train", "val"),
    licence="non-commercial, terms to be accepted",
    test="val",
    recipe=(
        "Accept the terms at image-net.org/challenges/LSVRC/2012 and put ILSVRC2012_devkit_t12.tar.gz, "
        "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar into {folder}; then "
        "`python -c \"from torchvision.datasets import ImageNet as I; I('{folder}', 'train'); I('{folder}', 'val')\"` "
        "compares their MD5 and unpacks them. Or link folders that you have: {folder}/train and {folder}/val with one "
        "folder for each WordNet identifier. Then check."
    ),
)

IMAGENET_VAL = DataSet(
    name=PAPER_BASE,
    title="ImageNet-1k (ILSVRC 2012), validation images alone",
    folder="imagenet",
    classes=1000,
    counts={"val": 50000},
    read=readers.imagenet,
    needs=("val",),
    licence="non-commercial, terms to be accepted",
    train="val",
    test="val",
    recipe=(
        "Accept the terms at image-net.org/challenges/LSVRC/2012 and put ILSVRC2012_devkit_t12.tar.gz and "
        "ILSVRC2012_img_val.tar (6.3 GB) into {folder}; then "
        "`python -c \"from torchvision.datasets import ImageNet as I; I('{folder}', 'val')\"` compares their MD5 and "
        "unpacks them. Or link a folder that you have: {folder}/val with one folder for each WordNet identifier. Then "
        "check."
    ),
)
"""The base task. What training images would say of a net that was trained on them flatters it."""

DATA_SETS = (
    FLOWERS, AIRCRAFT, CARS, STL10, RESISC45, GTSRB, DTD, SVHN, CIFAR10, CIFAR100, MNIST, USPS, IMAGENET, IMAGENET_VAL,
)  # fmt: skip
