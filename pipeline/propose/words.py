"""Words in the names of columns, files and values, and what they speak for."""

from __future__ import annotations

from components.ingest.files.numbers import NULL_WORDS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


QUERIES = _words(
    """user customer client household member visitor person people account buyer reader listener viewer
    subscriber guest patron shopper student patient reviewer uid userid customerid memberid visitorid cust
    kunde kunden kund nutzer benutzer besteller client cliente usuario utilisateur utilizador acheteur
    acquirente comprador klant gebruiker utente membre abonne"""
)
"""Those who are recommended to."""
VISITS = _words(
    """session visit order invoice basket transaction receipt bill checkout ticket trip request impression
    sessionid orderid bestellung bestell beleg rechnung auftrag warenkorb commande panier facture pedido
    factura carrito ordine fattura carrello bestelling factuur winkelwagen fatura encomenda"""
)
"""What somebody does at one moment or in one sitting: a set of rows, not somebody who comes back."""
CANDIDATES = _words(
    """item product movie film song track artist book article sku asin isbn candidate offer ad listing video
    recipe game new news content course job business restaurant beer anime post hotel stock itemid productid
    movieid articleid asins isbns goods artikel ware produkt produit producto articulo prodotto articolo
    produto artigo buch livre libro"""
)
"""What is recommended."""
IDS = _words(
    "id code sku key uuid guid nr no num number nummer numero codigo codice kennung zip postcode postal"
)
"""Numbers that name something."""
TIMES = _words(
    """time timestamp datetime date day when at ts stamp created updated started ended clock epoch moment
    unixtime eventtime timeframe eventdate datum zeit uhrzeit fecha hora heure jour data ora tijd"""
)
RATINGS = _words("rating rate star score grade mark stars label liked like relevance")
NO_RATINGS = _words(
    """quantity qty count price amount value cost week month day hour year discount disc duration position
    rank page length size age id unit menge anzahl preis betrag summe umsatz rabatt cantidad precio importe
    descuento quantite prix montant remise quantita
    prezzo importo sconto hoeveelheid aantal prijs bedrag
    korting quantidade preco valor desconto"""
)
"""Numbers that are small and few, but judge nothing."""
QUANTITIES = _words(
    """quantity qty unit menge anzahl stueck cantidad quantite quantita hoeveelheid aantal quantidade pieces
    amount count"""
)
"""How many were bought: below 0 where they were given back."""
NULLS = frozenset((*NULL_WORDS, "missing"))
"""Cells (lower case) that stand for no value, whatever the column."""
NOBODY = _words("unknown anonymous anonym guest -1 0 - ?")
"""Cells (lower case) that stand for nobody in a column of users, where very many rows have them."""
PROPERTIES = _words("property attribute key field variable feature")
"""With a column of values beside it: a table in long form, one row a property of an item."""
ACTIONS = _words("action event type behavior behaviour interaction activity kind")
CONTEXT = _words("device platform os browser country locale language channel query search useragent")
"""What is known when a request is made."""
POSITIONS = _words("position rank slot")
"""The place where a candidate was shown."""
PLACES = _words("order sequence seq step position rank slot index line row")
"""Numbers that say where in a list something stands."""
PROPENSITIES = _words("propensity")
"""The probability with which it was."""
SPLITS = _words("train training test testing eval valid validation dev")
TITLES = (
    "title", "name", "headline", "label", "titel", "titre", "titulo", "titolo", "bezeichnung", "naam", "nom",
    "nombre", "nome", "description",
)  # fmt: skip
"""What people know a candidate by, best first."""
SUFFIXES = ("nummer", "number", "numero", "nr", "no", "num", "id", "code", "key")
"""Ends of names in one word that just say id: ``kundennr``, ``productid``."""
HEADS = ("datum", "zeit", "preis", "menge", "anzahl", "betrag", "summe", "prijs", "bedrag", "aantal", "tijd")
"""Last words of German and Dutch compounds, which say what the whole is: ``bestelldatum``."""

ACTION_WEIGHTS: tuple[tuple[float, frozenset[str]], ...] = (
    (0.0, _words("impression show shown seen display skip dislike remove removed unlike delete hide")),
    (5.0, _words("purchase buy bought order ordered transaction checkout pay paid conversion sale")),
    (3.0, _words("cart basket addtocart rent borrow download subscribe")),
    (2.0, _words("fav favorite favourite like wishlist save bookmark share follow wish collect")),
    (1.0, _words("view pv click detail visit open play listen read watch browse stream")),
)
"""Words in an action's name and the weight they suggest; the first that fits counts."""
