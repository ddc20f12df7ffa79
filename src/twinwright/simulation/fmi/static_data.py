"""What of an FMU outlives its instances: the static data of its libraries, and the state of what they call.

Runs may share a process only if each begins as in a process of its own. An FMU's libraries are read (ELF, 64 bits): those that call
nothing but functions known to keep no state, that run no code when they are loaded and have no data of a thread can keep something in
their static data alone. That is copied when they have been loaded and put back between runs. Of any other it is not known, and each of
its runs has a process of its own.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_MOST_BYTES = 8 << 20  # of static data: to compare more takes longer than to fork
_SYSTEM = re.compile(r"(libc|libm|libpthread|libdl|librt|libgcc_s|libstdc\+\+|ld-linux[\w-]*)\.so\.\d+$")

# Functions of the C and C++ libraries that keep nothing which the next run could see. Not among them, to name some: rand, strtok,
# setlocale, setenv, chdir, signal, fesetround, pthread_*, dlopen, mmap.
_STATELESS_TEXT = """
_ITM_deregisterTMCloneTable _ITM_registerTMCloneTable __cxa_finalize __gmon_start__ __stack_chk_fail __assert_fail __errno_location
__ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc _Unwind_Resume __gxx_personality_v0
malloc calloc realloc free posix_memalign aligned_alloc
memcpy memmove memset memcmp memchr memrchr mempcpy __memcpy_chk __memset_chk __memmove_chk
strlen strnlen strcpy strncpy stpcpy strcat strncat strcmp strncmp strcasecmp strncasecmp strchr strrchr strstr strpbrk strspn strcspn
strdup __strdup strndup strtok_r strtod strtof strtol strtoll strtoul strtoull atoi atol atoll atof sscanf __isoc99_sscanf
__isoc23_sscanf __isoc23_strtol __isoc23_strtoul __isoc23_strtoll __isoc23_strtoull strerror_r __xpg_strerror_r tolower toupper
isalpha isdigit isalnum isspace isupper islower ispunct isprint isxdigit __strcpy_chk __strncpy_chk __strcat_chk __strncat_chk
printf fprintf vprintf vfprintf sprintf snprintf vsprintf vsnprintf puts putchar putc fputc fputs fwrite perror fflush stdout stderr
__printf_chk __fprintf_chk __vprintf_chk __vfprintf_chk __sprintf_chk __snprintf_chk __vsprintf_chk __vsnprintf_chk asprintf vasprintf
__asprintf_chk __vasprintf_chk
fopen fopen64 fclose fread __fread_chk fgets __fgets_chk fgetc getc ungetc getline fileno
fseek fseeko ftell ftello rewind feof ferror clearerr fscanf __isoc99_fscanf __isoc23_fscanf
access stat fstat lstat __xstat __fxstat __lxstat
abort exit _exit _Exit atexit setjmp _setjmp __sigsetjmp longjmp __longjmp_chk qsort qsort_r bsearch abs labs llabs div ldiv
getenv secure_getenv getpid time clock gettimeofday clock_gettime difftime gmtime_r usleep nanosleep sleep clock_nanosleep
"""
_MATHS_TEXT = """
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp10 exp2 expm1 fabs fdim floor fma fmax fmin fmod
frexp hypot ilogb j0 j1 jn ldexp lgamma_r llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter pow
remainder remquo rint round scalbln scalbn sin sincos sinh sqrt tan tanh tgamma trunc y0 y1 yn
"""
_STATELESS, _MATHS = frozenset(_STATELESS_TEXT.split()), frozenset(_MATHS_TEXT.split())
_MATHS_FORM = re.compile(r"(?:__)?(\w+?)(?:f|l)?(?:_finite)?$")
_CLASSIFY = re.compile(r"__(fpclassify|isinf|isnan|finite|signbit|issignaling)[fl]?$|(isinf|isnan|finite)[fl]?$")
_CPP = re.compile(
    r"_Z(n[wa]m|d[la]Pv\w*|St\d+__throw_\w+|NK?St7__cxx1112basic_string\w+|NK?Ss\w+|TVN10__cxxabiv1\w+|T[ISV]S?t\w*(exception|error)\w*"
    r"|NKSt9exception4whatEv|NSt\d+\w*(exception|error)[CD]\dE\w*|St9terminatev)$"
    r"|__cxa_(allocate_exception|free_exception|throw|rethrow|begin_catch|end_catch|pure_virtual|throw_bad_array_new_length)$"
)


@dataclass(frozen=True, slots=True)
class _Binary:
    """What a shared library says of itself."""

    needed: tuple[str, ...]
    wanted: frozenset[str]  # symbols that others have to define
    defined: frozenset[str]
    writable: tuple[tuple[int, int], ...]  # addresses from its base, and sizes
    has_constructors: bool
    has_thread_data: bool


class StaticData:
    """The static data of libraries as it was when they had been loaded."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self._kept = [(address, ctypes.string_at(address, size)) for address, size in spans]
        self._libm = ctypes.CDLL(None)
        self._rounding = ctypes.create_string_buffer(64)  # fenv_t: rounding, masks, flush to zero
        self._libm.fegetenv(self._rounding)

    def put_back(self) -> None:
        """Make it what it was. No instance may be left whose data it is."""
        for address, content in self._kept:
            if ctypes.string_at(address, len(content)) != content:
                ctypes.memmove(address, content, len(content))
        self._libm.fesetenv(self._rounding)


def static_data(libraries: Sequence[tuple[Path, ctypes.CDLL]], trusted: Sequence[tuple[Path, ctypes.CDLL]] = ()) -> StaticData | None:
    """Of an FMU's own libraries, which are all that may keep something, and of ours; None where more might outlive an instance."""
    found = {path: _read(path) for path, _ in (*libraries, *trusted)}
    own = [one for path, _ in libraries if (one := found[path]) is not None]
    if len(own) < len(libraries) or any(one.has_constructors or one.has_thread_data for one in own):
        return None
    defined = frozenset().union(*(one.defined for one in own))
    names = {path.name for path, _ in libraries}
    if not all(_keeps_nothing(symbol) for one in own for symbol in one.wanted - defined):
        return None
    if not all(name in names or _SYSTEM.match(name) for one in own for name in one.needed):
        return None
    spans = []
    for path, handle in (*libraries, *trusted):
        binary, base = found[path], _base(handle, path)
        if binary is None or base is None:
            return None
        spans += [(base + address, size) for address, size in binary.writable]
    return StaticData(spans) if sum(size for _, size in spans) <= _MOST_BYTES else None


def _keeps_nothing(symbol: str) -> bool:
    if symbol in _STATELESS or _CLASSIFY.match(symbol) or _CPP.match(symbol):
        return True
    form = _MATHS_FORM.match(symbol)
    return symbol in _MATHS or bool(form and form[1] in _MATHS)


def _base(handle: ctypes.CDLL, path: Path) -> int | None:
    """Where a library is: a handle of glibc's points to its link map, which begins with the address and the name."""
    address, name = (ctypes.c_void_p * 2).from_address(handle._handle)
    if not address or not name or Path(ctypes.string_at(name).decode(errors="replace")).resolve() != path.resolve():
        return None
    return int(address)


def _read(path: Path) -> _Binary | None:
    """None for what is no complete ELF file of 64 bits, little-endian, with its section headers."""
    try:
        return _parse(path.read_bytes())
    except (OSError, struct.error, ValueError, IndexError):
        return None


_DYNAMIC, _INIT_ARRAY, _PREINIT_ARRAY, _DYNSYM = 6, 14, 16, 11
_LOAD, _TLS, _RELRO = 1, 7, 0x6474E552


def _parse(body: bytes) -> _Binary | None:
    if body[:6] != b"\x7fELF\x02\x01":
        return None
    header = struct.unpack_from("<HHIQQQIHHHHHH", body, 16)
    programs = [struct.unpack_from("<IIQQQQQQ", body, header[4] + i * header[8]) for i in range(header[9])]
    sections = [struct.unpack_from("<IIQQQQIIQQ", body, header[5] + i * header[10]) for i in range(header[11])]
    needed: list[str] = []
    names: dict[bool, set[str]] = {True: set(), False: set()}  # by whether it is defined here
    symbols = 0
    for _, kind, _, _, offset, size, link, _, _, _ in sections:
        if kind == _DYNSYM:
            symbols += 1
            for at in range(offset, offset + size, 24):
                name, _, _, index = struct.unpack_from("<IBBH", body, at)
                if name:
                    names[index != 0].add(_text(body, sections[link][4] + name))
        elif kind == _DYNAMIC:
            entries = (struct.unpack_from("<QQ", body, at) for at in range(offset, offset + size, 16))
            needed += [_text(body, sections[link][4] + value) for tag, value in entries if tag == 1]
    if symbols != 1:
        return None
    # One constructor, which registers nothing, comes with the compiler.
    constructors = sum(one[5] for one in sections if one[1] == _INIT_ARRAY) > 8 or any(one[1] == _PREINIT_ARRAY for one in sections)
    return _Binary(
        tuple(needed),
        frozenset(names[False]),
        frozenset(names[True]),
        _writable(programs),
        constructors,
        any(one[0] == _TLS for one in programs),
    )


def _writable(programs: Sequence[tuple[int, ...]]) -> tuple[tuple[int, int], ...]:
    """Segments that can be written to, less what is made read-only when addresses have been filled in."""
    sealed = max((one[3] + one[6] for one in programs if one[0] == _RELRO), default=0)
    sealed -= sealed % mmap.PAGESIZE
    found = [(max(one[3], sealed), one[3] + one[6]) for one in programs if one[0] == _LOAD and one[1] & 2]
    return tuple((begin, end - begin) for begin, end in found if end > begin)


def _text(body: bytes, offset: int) -> str:
    return body[offset : body.index(b"\0", offset)].decode(errors="replace")
