"""One DICOM file as an image of 8 bits. Files that say whose image they are get refused.

Only pixels come out of a file; its tags are looked at and dropped. Needs pydicom (the extra ``dicom``).
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, IdentifiedError, MissingPackageError, ShapeError, UnreadableFileError
from ..schema import ImageSchema

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataelem import DataElement

FILE_LIMIT = 16 << 20
"""Bytes of one image file; the largest image of a schema has 48 KiB."""

_NAMING = """
    PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence PatientBirthDate
    PatientBirthDateInAlternativeCalendar PatientBirthTime PatientBirthName PatientMotherBirthName
    OtherPatientIDs OtherPatientIDsSequence OtherPatientNames PatientAddress PatientTelephoneNumbers
    PatientTelecomInformation PatientInsurancePlanCodeSequence MedicalRecordLocator MilitaryRank
    BranchOfService CountryOfResidence RegionOfResidence PatientReligiousPreference PatientComments
    Occupation AdditionalPatientHistory ResponsiblePerson ResponsibleOrganization
    ReferencedPatientSequence SourcePatientGroupIdentificationSequence
    GroupOfPatientsIdentificationSequence PersonName PersonAddress PersonTelephoneNumbers
    PersonTelecomInformation PersonIdentificationCodeSequence AccessionNumber StudyID StudyIDIssuer
    AdmissionID IssuerOfAdmissionID IssuerOfAdmissionIDSequence ServiceEpisodeID IssuerOfServiceEpisodeID
    CurrentPatientLocation PatientInstitutionResidence FillerOrderNumberImagingServiceRequest
    PlacerOrderNumberImagingServiceRequest InstitutionName InstitutionAddress InstitutionCodeSequence
    InstitutionalDepartmentName InstitutionalDepartmentTypeCodeSequence StationName
    CustodialOrganizationSequence VerifyingOrganization HumanPerformerOrganization ReferringPhysicianName
    ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers ReferringPhysicianIdentificationSequence
    PhysiciansOfRecordIdentificationSequence PerformingPhysicianIdentificationSequence
    PhysiciansReadingStudyIdentificationSequence RequestingPhysicianIdentificationSequence
    ConsultingPhysicianIdentificationSequence OperatorIdentificationSequence AuthorObserverSequence
    ParticipantSequence DeviceSerialNumber RequestAttributesSequence ImageComments StudyComments
    VisitComments TextComments InterpretationText OriginalAttributesSequence ModifiedAttributesSequence
    EncryptedAttributesSequence DigitalSignaturesSequence PrivateInformation
"""
IDENTITY = frozenset(_NAMING.split())
"""Keywords of PS3.15 Table E.1-1 that name a person, a stay or a place, or may quote one.

Names of persons (VR PN) and private tags count too, whatever they are called. What every file has does not
count: what the basic profile replaces instead (UIDs, dates), what describes without naming (sex, age).
"""

_UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
_NAMED = 8  # tags that a message names


def read_dicom(path: Path, schema: ImageSchema, allow_identified: bool = False) -> NDArray[np.uint8]:
    """The image of an uncompressed DICOM file with one frame, uint8[channels, size, size].

    Grey values become 8 bits through the modality transformation, then through the file's first VOI LUT or
    window; without either, the range that the stored bits declare maps to 0..255. The image's own smallest
    and largest value are never used: they would make equal tissue unequal. MONOCHROME1 is inverted, so that
    high is bright. Colours have 8 bits already.

    Raises IdentifiedError if the file says whose image it is and that is not allowed, or if text is burned
    into the pixels (always: the model would learn it); ShapeError, UnreadableFileError, MissingPackageError.
    """
    try:
        import pydicom.filereader
    except ImportError as error:
        raise MissingPackageError(
            f"{path} is DICOM, and pydicom is not installed", hint="pip install 'fedcgan[dicom]'"
        ) from error
    content = file_bytes(path)
    try:
        # first, because a deflated file is unpacked whole when it is opened, however large it gets
        meta = pydicom.filereader.read_file_meta_info(path)
        if str(meta.get("TransferSyntaxUID", "")) not in _UNCOMPRESSED:
            raise UnreadableFileError(
                f"{path} is compressed",
                hint="decompress it beforehand, with gdcmconv --raw or dcmdjpeg",
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            dataset = pydicom.dcmread(io.BytesIO(content))
            _check_identity(path, dataset, allow_identified)
            _check_shape(path, dataset, schema)
            return _grey(dataset)[None] if schema.channels == 1 else _colours(dataset)
    except DataError:
        raise
    except Exception:  # pydicom lets many through, and its messages quote values: none of them is kept
        raise UnreadableFileError(f"{path} is damaged, cut off or no DICOM image") from None


def _check_identity(path: Path, dataset: Dataset, allow_identified: bool) -> None:
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        raise IdentifiedError(
            f"{path}: BurnedInAnnotation says that text is part of the picture",
            hint="blank the text in the pixels, then set the tag to NO",
        )
    if allow_identified:
        return
    elements = [*dataset.file_meta.iterall(), *dataset.iterall()]
    names = sorted({_name(element) for element in elements if _identifies(element)})
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise IdentifiedError(
            f"{path} carries identity beside the image: {', '.join(names[:_NAMED])}{more}",
            hint="de-identify the files (DICOM PS3.15, basic profile) so that these tags are empty, "
            "or allow_identified = true in the configuration or policy.toml",
        )


def _identifies(element: DataElement) -> bool:
    listed = element.tag.is_private or element.VR == "PN" or element.keyword in IDENTITY
    return listed and not element.is_empty


def _name(element: DataElement) -> str:
    """Its keyword; the file's own names of private tags are content, so these are numbers."""
    return f"private {element.tag}" if element.tag.is_private else element.keyword or str(element.tag)


def _check_shape(path: Path, dataset: Dataset, schema: ImageSchema) -> None:
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise ShapeError(f"{path} has several frames", hint="one file for each image")
    check_size(path, (int(dataset.Columns), int(dataset.Rows)), schema)
    colours = str(dataset.PhotometricInterpretation)
    grey = colours in {"MONOCHROME1", "MONOCHROME2"}
    if dataset.SamplesPerPixel != schema.channels or not (grey or colours in {"RGB", "YBR_FULL"}):
        raise ShapeError(
            f"{path} is {colours} with {int(dataset.SamplesPerPixel)} channels, "
            f"the schema says {schema.channels}",
            hint="grey is MONOCHROME1 or MONOCHROME2, colours are RGB or YBR_FULL",
        )
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    fits = allocated in {8, 16} and 2 <= stored <= allocated and dataset.HighBit == stored - 1
    if not fits or (not grey and stored != 8):
        raise ShapeError(
            f"{path} has {stored} of {allocated} bits a value", hint="grey has up to 16 bits, colours have 8"
        )


def _colours(dataset: Dataset) -> NDArray[np.uint8]:
    from pydicom.pixels.utils import pixel_array

    return np.asarray(pixel_array(dataset), np.uint8).transpose(2, 0, 1)  # it makes RGB of YBR


def _grey(dataset: Dataset) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing
    from pydicom.pixels.utils import pixel_array

    spare = int(dataset.BitsAllocated) - int(dataset.BitsStored)
    raw = pixel_array(dataset)
    raw = (raw << spare) >> spare  # unused high bits may hold an overlay; a signed value keeps its sign
    values = apply_modality_lut(raw, dataset)
    low, high = _declared_range(dataset)
    if "VOILUTSequence" in dataset and dataset.VOILUTSequence:
        values = apply_voi(np.rint(values).astype(np.int64), dataset, 0)
        low, high = 0.0, _largest(dataset.VOILUTSequence[0])
    elif all(name in dataset and dataset[name].VM for name in ("WindowCenter", "WindowWidth")):
        values = apply_windowing(values, dataset, 0)  # it maps the window to the declared range
    if not -np.inf < low < high < np.inf:
        raise ValueError("a rescale slope that is not positive, or not finite")
    bright = np.clip(np.rint((values - low) * (255 / (high - low))), 0, 255).astype(np.uint8)
    return 255 - bright if dataset.PhotometricInterpretation == "MONOCHROME1" else bright


def _declared_range(dataset: Dataset) -> tuple[float, float]:
    """Smallest and largest value after the modality transformation that the header allows."""
    if dataset.get("ModalityLUTSequence"):
        return 0.0, _largest(dataset.ModalityLUTSequence[0])
    bits = int(dataset.BitsStored)
    start = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
    ends = start, start + 2**bits - 1
    if "RescaleSlope" in dataset and "RescaleIntercept" in dataset:
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
        return ends[0] * slope + intercept, ends[1] * slope + intercept
    return float(ends[0]), float(ends[1])


def _largest(table: Any) -> float:
    """Largest value of a LUT: the third number of its descriptor is the bits of an entry."""
    return float(2 ** int(table.LUTDescriptor[2]) - 1)


def file_bytes(path: Path) -> bytes:
    """The content of an image file. Raises UnreadableFileError if it is absent or too large for one."""
    try:
        if not path.is_file():
            raise UnreadableFileError(f"{path}: there is no such file")
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as error:
        raise UnreadableFileError(
            f"{path} cannot be read: {getattr(error, 'strerror', 'its name')}"
        ) from error
    if len(content) > FILE_LIMIT:
        raise UnreadableFileError(f"{path} has more than {FILE_LIMIT} bytes, too many for an image")
    return content


def check_size(file: Path, size: tuple[int, int], schema: ImageSchema) -> None:
    """Raise ShapeError if width and height in pixels are not the schema's. Nothing is resized silently."""
    if size != (schema.size, schema.size):
        raise ShapeError(
            f"{file} has {size[0]}x{size[1]} pixels, the schema says {schema.size}x{schema.size}",
            hint="resize all images beforehand, at every site in the same way: "
            f"Image.open(a).resize(({schema.size}, {schema.size})).save(b)",
        )
