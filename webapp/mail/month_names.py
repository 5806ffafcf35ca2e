"""The names of the months as mail programs of Europe write them into a Date field (it should be English)."""

from __future__ import annotations

import unicodedata

# Without accents, in lower case. Short forms that mean another month elsewhere are left out.
_NAMES = (
    "jan january januar januari janvier janv gennaio gen enero ene janeiro stycznia styczen sty ledna"
    " leden ianuarie ian ocak oca tammikuu tammikuuta tammi januara sijecanj siecnia января январь янв"
    " січня січень січ",
    "feb february februar februari fevrier fevr fev febbraio febrero fevereiro lutego luty lut unora"
    " unor februarie subat sub helmikuu helmikuuta helmi februara февраля февраль фев лютого лютий лют",
    "mar march marz maerz mrz mars marts maart mrt marzo marco marca marzec brezna brezen martie marc"
    " marcius mart maaliskuu maaliskuuta maalis marta марта март мар березня березень бер",
    "apr april avril avr aprile abril abr kwietnia kwiecien kwi dubna duben aprilie aprilis nisan nis"
    " huhtikuu huhtikuuta huhti aprila апреля апрель апр квітня квітень кві",
    "may mai mei maj maggio mag mayo maio maja kvetna kveten majus mayis toukokuu toukokuuta touko мая"
    " май травня травень тра",
    "jun june juni juin giugno giu junio junho czerwca czerwiec cze cervna cerven iunie iun junius"
    " haziran haz kesakuu kesakuuta kesa juna июня июнь июн червня червень чер",
    "jul july juli juillet juil luglio lug julio julho lipca lipiec lip cervence cervenec iulie iul"
    " julius temmuz tem heinakuu heinakuuta heina jula июля июль июл липня липень",
    "aug august augustus aout agosto ago sierpnia sierpien sie srpna srpen augusztus agustos agu elokuu"
    " elokuuta elo avgusta августа август авг серпня серпень сер",
    "sep sept september septembre settembre set septiembre setembro wrzesnia wrzesien wrz zari"
    " septembrie szeptember szept eylul eyl syyskuu syyskuuta syys septembra сентября сентябрь сен сент"
    " вересня вересень вер",
    "oct okt october oktober octobre ottobre ott octubre outubro out pazdziernika pazdziernik paz rijna"
    " rijen octombrie ekim eki lokakuu lokakuuta loka oktobra октября октябрь окт жовтня жовтень жов",
    "nov november novembre noviembre novembro listopada listopad lis listopadu noiembrie noi kasim kas"
    " marraskuu marraskuuta marras novembra ноября ноябрь ноя листопада листопад лис",
    "dec dez december dezember decembre dicembre dic diciembre dezembro grudnia grudzien gru prosince"
    " prosinec decembrie aralik ara joulukuu joulukuuta joulu decembra декабря декабрь дек грудня"
    " грудень гру",
)
MONTHS = {name: number for number, names in enumerate(_NAMES, start=1) for name in names.split()}


def month_of(word: str) -> int | None:
    """The number of the month that `word` names in some language, None for any other word."""
    word = word.lower()
    if (found := MONTHS.get(word)) is not None:
        return found
    plain = "".join(
        char for char in unicodedata.normalize("NFD", word) if not unicodedata.combining(char)
    ).translate(_NO_ACCENTS)
    return MONTHS.get(plain)


_NO_ACCENTS = str.maketrans({"ł": "l", "ı": "i", "ø": "o", "đ": "d"})
