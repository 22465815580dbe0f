"""Countries by the words that vendors have for them: two letters, three letters, or a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_COUNTRIES: Final = """
AE ARE United Arab Emirates
AR ARG Argentina
AT AUT Austria
AU AUS Australia
BE BEL Belgium
BH BHR Bahrain
BM BMU Bermuda
BR BRA Brazil
BS BHS Bahamas
CA CAN Canada
CH CHE Switzerland
CL CHL Chile
CN CHN China
CO COL Colombia
CR CRI Costa Rica
CY CYP Cyprus
CZ CZE Czech Republic
CZ CZE Czechia
DE DEU Germany
DK DNK Denmark
EE EST Estonia
EG EGY Egypt
ES ESP Spain
FI FIN Finland
FR FRA France
GB GBR United Kingdom
GG GGY Guernsey
GI GIB Gibraltar
GR GRC Greece
HK HKG Hong Kong
HU HUN Hungary
ID IDN Indonesia
IE IRL Ireland
IL ISR Israel
IM IMN Isle of Man
IN IND India
IS ISL Iceland
IT ITA Italy
JE JEY Jersey
JO JOR Jordan
JP JPN Japan
KE KEN Kenya
KR KOR South Korea
KW KWT Kuwait
KY CYM Cayman Islands
KZ KAZ Kazakhstan
LT LTU Lithuania
LU LUX Luxembourg
LV LVA Latvia
MA MAR Morocco
MC MCO Monaco
MO MAC Macau
MT MLT Malta
MU MUS Mauritius
MX MEX Mexico
MY MYS Malaysia
NG NGA Nigeria
NL NLD Netherlands
NO NOR Norway
NZ NZL New Zealand
OM OMN Oman
PA PAN Panama
PE PER Peru
PH PHL Philippines
PK PAK Pakistan
PL POL Poland
PR PRI Puerto Rico
PT PRT Portugal
QA QAT Qatar
RO ROU Romania
RU RUS Russia
SA SAU Saudi Arabia
SE SWE Sweden
SG SGP Singapore
SI SVN Slovenia
TH THA Thailand
TR TUR Turkey
TR TUR Türkiye
TW TWN Taiwan
UA UKR Ukraine
US USA United States
US USA United States of America
UY URY Uruguay
VG VGB British Virgin Islands
VN VNM Vietnam
ZA ZAF South Africa
"""

_CODES: Final[Mapping[str, str]] = {
    word.casefold(): code
    for code, *words in (line.split(maxsplit=2) for line in _COUNTRIES.strip().splitlines())
    for word in (code, *words)
}


def country_code(word: str) -> str:
    """Return the two letters of a country; the word itself for one that is not in the table."""
    return _CODES.get(word.casefold(), word)
